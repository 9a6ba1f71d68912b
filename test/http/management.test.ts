import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type SessionEvent, type SessionStore, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Handler, type Site, site, type Visitor } from "../support/site.ts";

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

const handler: Handler = async (req, res) => {
  const url = new URL(req.url ?? "/", "http://localhost");
  if (url.pathname === "/login") await req.session.login(url.searchParams.get("user") ?? "alice");
  if (url.pathname === "/set") Object.assign(req.session, { n: 1, list: [1] });
  res.end(JSON.stringify({ id: req.session.id, userId: req.session.userId }));
};

async function login({ visitor }: Site, user = "alice", userAgent = FIREFOX): Promise<Visitor> {
  const one = visitor();
  await one.get(`/login?user=${user}`, { "user-agent": userAgent });
  return one;
}

const handleOf = (visitor: Visitor) => visitor.token?.slice(0, 22) ?? assert.fail("no token");

for (const [name, open] of [
  ["memory", (clock: ManualClock) => new MemoryStore({ clock })],
  ["SQLite", (clock: ManualClock) => new SqliteStore(":memory:", { clock })],
  ["an asynchronous store", (clock: ManualClock) => new ProbeStore(new MemoryStore({ clock }), { async: true }).store],
] as const) {
  describe(`a user's sessions from outside, over ${name}`, () => {
    async function start(t: { after(action: () => unknown): void }) {
      const clock = new ManualClock();
      return site(t, { clock, store: open(clock) }, handler);
    }

    test("list: the newest use first, with label, address and times; the current one marked", async (t) => {
      const one = await start(t);
      const laptop = await login(one);
      const began = one.clock.now();
      one.clock.advance(60_000);
      const phone = await login(
        one,
        "alice",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
      );
      await login(one, "bob");
      one.clock.advance(60_000);
      await laptop.get();
      const devices = await one.sessions.list("alice");
      assert.deepEqual(
        devices.map(({ label, ip, current }) => ({ label, ip, current })),
        [
          { label: "Firefox on Linux", ip: "127.0.0.1", current: false },
          { label: "Safari on iPhone", ip: "127.0.0.1", current: false },
        ],
      );
      assert.deepEqual(
        devices.map(({ handle }) => handle),
        [handleOf(laptop), handleOf(phone)],
      );
      const [first] = devices;
      assert.equal(first?.createdAt.getTime(), began);
      assert.equal(first?.lastUsedAt.getTime(), began + 120_000);
      assert.equal(first?.expiresAt.getTime(), began + 120_000 + 30 * 60_000);
      assert.deepEqual(await one.sessions.list("nobody"), []);
      const shown = JSON.stringify(devices);
      for (const { token } of [laptop, phone]) assert.ok(!shown.includes(token?.slice(23) ?? "?"));
    });

    test("a label holds nothing of the header's own text", async (t) => {
      const one = await start(t);
      for (const userAgent of [
        "<script>alert(1)</script>",
        "\x1b[2J Firefox/1 <b>",
        `${"a".repeat(10_000)}`,
        "Firefox/<img src=x>",
        "",
      ]) {
        const visitor = await login(one, "eve", userAgent.replaceAll("\x1b", ""));
        const device = (await one.sessions.list("eve")).find(({ handle }) => handle === handleOf(visitor));
        assert.ok(["Unknown device", "Firefox"].includes(device?.label ?? ""), device?.label);
      }
    });

    test("revoke one: it is signed out, the others stay", async (t) => {
      const one = await start(t);
      const [laptop, phone] = [await login(one), await login(one)];
      assert.equal(await one.sessions.revoke(handleOf(phone)), true);
      assert.equal(await one.sessions.revoke(handleOf(phone)), false, "the second time there is none");
      assert.match((await phone.get()).text, /"userId":null/);
      assert.match((await laptop.get()).text, /"userId":"alice"/);
    });

    test("revoke with a userId ends only that user's (so that a handle from a request can be trusted)", async (t) => {
      const one = await start(t);
      const [alice, bob] = [await login(one, "alice"), await login(one, "bob")];
      const anonymous = one.visitor();
      await anonymous.get("/set");
      assert.equal(await one.sessions.revoke(handleOf(alice), { userId: "bob" }), false);
      assert.equal(await one.sessions.revoke(handleOf(anonymous), { userId: "bob" }), false);
      assert.match((await alice.get()).text, /"userId":"alice"/);
      assert.equal(await one.sessions.revoke(handleOf(bob), { userId: "bob" }), true);
      assert.match((await bob.get()).text, /"userId":null/);
    });

    test("revoke with a userId that turned out missing ends nobody's", async (t) => {
      const one = await start(t);
      const alice = await login(one);
      const anonymous = one.visitor();
      await anonymous.get("/set");
      for (const userId of [undefined, null, "", 0]) {
        for (const victim of [alice, anonymous]) {
          const outcome: Promise<unknown> = Reflect.apply(one.sessions.revoke, undefined, [
            handleOf(victim),
            { userId },
          ]);
          const ended = await outcome.catch((error: unknown) => {
            assert.ok(error instanceof TypeError);
            return false;
          });
          assert.equal(ended, false, `revoke(handle, { userId: ${userId} })`);
        }
      }
      assert.match((await alice.get()).text, /"userId":"alice"/);
    });

    test("revokeAll, except one by session or by handle", async (t) => {
      const one = await start(t);
      const devices = [await login(one), await login(one), await login(one)] as const;
      const bob = await login(one, "bob");
      assert.equal(await one.sessions.revokeAll("alice", { except: handleOf(devices[1]) }), 2);
      assert.match((await devices[0].get()).text, /"userId":null/);
      assert.match((await devices[1].get()).text, /"userId":"alice"/);
      assert.equal(await one.sessions.revokeAll("alice"), 1);
      assert.equal(await one.sessions.revokeAll("alice"), 0);
      assert.match((await devices[1].get()).text, /"userId":null/);
      assert.match((await bob.get()).text, /"userId":"bob"/);
    });

    test("get: a snapshot that is a copy; count: of a user, and of everyone", async (t) => {
      const one = await start(t);
      const visitor = one.visitor();
      await visitor.get("/set");
      const snapshot = await one.sessions.get(handleOf(visitor));
      assert.deepEqual(snapshot, {
        handle: handleOf(visitor),
        userId: null,
        transport: "cookie",
        createdAt: new Date(one.clock.now()),
        authenticatedAt: null,
        authenticationMethods: [],
        link: undefined,
        stamp: undefined,
        actor: null,
        lastUsedAt: new Date(one.clock.now()),
        expiresAt: new Date(one.clock.now() + 30 * 60_000),
        data: { n: 1, list: [1] },
      });
      Object.assign(snapshot?.data ?? {}, { n: 2 });
      assert.equal((await one.sessions.get(handleOf(visitor)))?.data["n"], 1);
      await login(one);
      await login(one);
      assert.equal(await one.sessions.count(), 3);
      assert.equal(await one.sessions.count("alice"), 2);
      assert.equal(await one.sessions.count("nobody"), 0);
      one.clock.advance(30 * 60_000);
      assert.equal(await one.sessions.get(handleOf(visitor)), undefined, "expired");
      assert.equal(await one.sessions.count("alice"), 0);
      assert.deepEqual(await one.sessions.list("alice"), []);
    });

    test("what is no handle, or no user, is answered without a search", async (t) => {
      const one = await start(t);
      for (const handle of ["", "x", "../../etc", "%", "a".repeat(22), "*", null, undefined, 5, {}]) {
        assert.equal(await Reflect.apply(one.sessions.get, undefined, [handle]), undefined);
        assert.equal(await Reflect.apply(one.sessions.revoke, undefined, [handle]), false);
      }
      for (const user of ["", null, undefined, 5, {}]) {
        await assert.rejects(Reflect.apply(one.sessions.list, undefined, [user]), /^TypeError: .*userId must be/);
        await assert.rejects(Reflect.apply(one.sessions.revokeAll, undefined, [user]), /^TypeError: .*userId must be/);
      }
      for (const except of [null, 5, {}, { id: "x" }]) {
        await assert.rejects(
          Reflect.apply(one.sessions.revokeAll, undefined, ["alice", { except }]),
          /^TypeError: revokeAll/,
        );
      }
    });

    test("prune removes what has expired, and nothing else", async (t) => {
      const one = await start(t);
      const old = [await login(one), await login(one)];
      one.clock.advance(29 * 60_000);
      const young = await login(one);
      one.clock.advance(5 * 60_000);
      await one.sessions.prune();
      assert.equal(await one.sessions.count(), 1);
      for (const visitor of old) assert.match((await visitor.get()).text, /"userId":null/);
      assert.match((await young.get()).text, /"userId":"alice"/);
    });

    test("expired sessions are swept by themselves", async (t) => {
      const one = await start(t);
      await login(one);
      for (let minute = 0; minute < 35; minute += 1) {
        one.clock.advance(60_000);
        for (let i = 0; i < 3; i += 1) await turn();
      }
      assert.equal(await one.sessions.count(), 0);
    });
  });
}

test("the current session is marked in the list, and spared by revokeAll", async (t) => {
  const one = await site(t, {}, async (req, res) => {
    if (req.url === "/login") await req.session.login("alice");
    if (req.url === "/others") await one.sessions.revokeAll("alice", { except: req.session });
    const devices = await one.sessions.list("alice", { current: req.session });
    res.end(JSON.stringify(devices.filter(({ current }) => current).map(({ handle }) => handle === req.sessionID)));
  });
  const [here, there] = [one.visitor(), one.visitor()];
  await there.get("/login");
  assert.equal((await here.get("/login")).text, "[true]");
  assert.equal((await here.get("/others")).text, "[true]");
  assert.equal((await there.get("/")).text, "[]");
});

test("a user with 2,500 sessions is listed in full", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const sessions = session({ clock, store });
  const now = clock.now();
  for (let i = 0; i < 2_500; i += 1) {
    const handle = `${String(i).padStart(21, "0")}A`;
    store.create(handle, {
      payload: "[0]\n",
      version: 1,
      secretHash: "",
      userId: "alice",
      createdAt: now,
      touchedAt: now + i,
      expiresAt: now + 1e6,
    });
  }
  const devices = await sessions.list("alice");
  assert.equal(devices.length, 2_500);
  assert.equal(new Set(devices.map(({ handle }) => handle)).size, 2_500);
  assert.equal(devices[0]?.lastUsedAt.getTime(), now + 2_499);
  await sessions.close();
});

test("a store that only loads and saves: what needs an index says so, the rest works", async (t) => {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock });
  const store: SessionStore = {
    load: (handle) => inner.load(handle),
    create: (handle, record) => inner.create(handle, record),
    update: (handle, record, version) => inner.update(handle, record, version),
    touch: (handle, touchedAt, expiresAt) => inner.touch(handle, touchedAt, expiresAt),
    delete: (handle) => inner.delete(handle),
    close: () => inner.close(),
  };
  const one = await site(t, { clock, store }, handler);
  const alice = await login(one);
  for (const call of [
    () => one.sessions.list("alice"),
    () => one.sessions.revokeAll("alice"),
    () => one.sessions.count(),
    () => one.sessions.prune(),
  ]) {
    await assert.rejects(call(), { code: "NO_USER_INDEX", status: 500 });
  }
  assert.equal(one.sessions.capabilities.indexed, false);
  assert.equal(one.sessions.capabilities.revocable, true);
  assert.equal((await one.sessions.get(handleOf(alice)))?.userId, "alice");
  assert.equal(await one.sessions.revoke(handleOf(alice)), true);
  assert.match((await alice.get()).text, /"userId":null/);
  // What watches long requests ends by itself; a sweep would go on.
  clock.advance(60_000);
  assert.equal(clock.pending, 0, "and nothing sweeps");
});

for (const encrypt of [false, true]) {
  test(`capabilities are what the store says now, ${encrypt ? "sealed at rest" : "in plain text"}`, async () => {
    let durable: "power-loss" | "process-crash" = "power-loss";
    const store = Object.defineProperty(new MemoryStore(), "capabilities", {
      get: () => ({ durable, shared: true, atomicUpdate: true, indexed: true }),
    });
    const sessions = session({ store, encrypt, secret: "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG" });
    assert.equal(sessions.capabilities.durable, "power-loss");
    durable = "process-crash"; // as PostgreSQL's, once its server was asked
    assert.equal(sessions.capabilities.durable, "process-crash");
    await sessions.close();
  });
}

describe("close", () => {
  test("twice is once; timers are gone, the store is closed", async () => {
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
    const sessions = session({ clock, store: probe.store });
    assert.ok(clock.pending > 0, "it sweeps");
    await Promise.all([sessions.close(), sessions.close()]);
    await sessions.close();
    assert.deepEqual(probe.operations, ["close"]);
    assert.equal(clock.pending, 0);
  });

  test("waits for commits that are under way", async (t) => {
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
    const one = await site(t, { clock, store: probe.store }, handler);
    const gate = probe.gate("create");
    const answer = one.visitor().get("/set");
    answer.catch(() => {});
    await gate.arrived();
    const closed = one.sessions.close();
    for (let i = 0; i < 10; i += 1) await turn();
    assert.ok(!probe.operations.includes("close"), "the store must not close under a commit");
    gate.open();
    await closed;
    assert.equal((await answer).status, 200);
    assert.deepEqual(probe.operations, ["create", "close"]);
  });

  test("waits for touches in the background, but no longer than their deadline", async (t) => {
    const clock = new ManualClock();
    const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
    const one = await site(t, { clock, store: probe.store }, handler);
    const visitor = one.visitor();
    await visitor.get("/set");
    clock.advance(60_000);
    probe.hang("touch");
    await visitor.get("/");
    const closed = one.sessions.close();
    for (let i = 0; i < 10; i += 1) await turn();
    assert.ok(!probe.operations.includes("close"));
    clock.advance(2_000);
    await closed;
    assert.ok(probe.operations.includes("close"));
  });
});

describe("events", () => {
  const EVENTS: SessionEvent[] = [
    "create",
    "login",
    "regenerate",
    "destroy",
    "revoke",
    "conflict",
    "gone",
    "damaged-record",
    "duplicate-cookie",
    "cookie-not-sent",
    "store-error",
  ];

  test("what happens to sessions is told, under their handles and without a secret", async (t) => {
    const one = await site(t, {}, async (req, res) => {
      if (req.url === "/set") Object.assign(req.session, { n: Number(Reflect.get(req.session, "n") ?? 0) + 1 });
      if (req.url === "/login") await req.session.login("alice");
      if (req.url === "/regenerate") await req.session.regenerate({ keep: true });
      if (req.url === "/logout") await req.session.logout();
      if (req.url === "/race") {
        Object.assign(req.session, { m: 1 });
        await visitor.clone().get("/set");
      }
      if (req.url === "/race-gone") {
        Object.assign(req.session, { m: 2 });
        await one.sessions.revoke(req.session.id);
      }
      res.end();
    });
    const told: unknown[] = [];
    const tokens: string[] = [];
    for (const event of EVENTS) one.sessions.on(event, (detail) => told.push([event, detail]));
    const visitor = one.visitor();
    const step = async (path: string) => {
      told.length = 0;
      await visitor.get(path);
      tokens.push(visitor.token ?? "");
      const shown = JSON.stringify(told);
      for (const token of tokens) if (token !== "") assert.ok(!shown.includes(token.slice(23)));
      return [...told];
    };
    assert.deepEqual(await step("/set"), [["create", { handle: handleOf(visitor), userId: null }]]);
    const a = handleOf(visitor);
    const login = await step("/login");
    const b = handleOf(visitor);
    assert.deepEqual(login, [
      ["create", { handle: b, userId: "alice" }],
      ["login", { handle: b, userId: "alice", previous: a }],
    ]);
    const regenerated = await step("/regenerate");
    const c = handleOf(visitor);
    assert.deepEqual(regenerated, [
      ["create", { handle: c, userId: "alice" }],
      ["regenerate", { handle: c, previous: b }],
    ]);
    assert.deepEqual(await step("/"), []);
    assert.deepEqual(await step("/set"), []);
    assert.deepEqual(await step("/race"), [["conflict", { handle: c, attempt: 1 }]]);
    assert.deepEqual(await step("/race-gone"), [
      ["revoke", { handle: c, count: 1 }],
      ["gone", { handle: c }],
    ]);
    await step("/login");
    const d = handleOf(visitor);
    assert.deepEqual(await step("/logout"), [["destroy", { handle: d, userId: "alice" }]]);
    await step("/login");
    told.length = 0;
    await one.sessions.revokeAll("alice");
    assert.deepEqual(told, [["revoke", { userId: "alice", count: 1 }]]);
  });

  test("a listener that throws anything, rejects, or never settles disturbs nothing (CVE-2021-34428)", async (t) => {
    const warnings: string[] = [];
    const listen = (warning: Error) => warnings.push(String(Reflect.get(warning, "code")));
    process.on("warning", listen);
    t.after(() => process.off("warning", listen));
    const thrown: unknown[] = [
      new Error("listener"),
      "text",
      undefined,
      null,
      Object.create(null),
      Symbol("x"),
      {
        get message() {
          throw new Error("worse");
        },
      },
    ];
    const one = await site(t, {}, async (req, res) => {
      if (req.url === "/set") Object.assign(req.session, { n: 1 });
      else await req.session.destroy();
      res.end();
    });
    let heard = 0;
    for (const value of thrown) {
      one.sessions.on("destroy", () => {
        throw value;
      });
      one.sessions.on("destroy", () => Promise.reject(value));
    }
    one.sessions.on("destroy", () => new Promise(() => undefined));
    const off = one.sessions.on("destroy", () => {
      heard += 1;
    });
    const visitor = one.visitor();
    await visitor.get("/set");
    const thief = visitor.clone();
    assert.equal((await visitor.get("/logout")).status, 200);
    assert.equal(heard, 1);
    assert.equal(await one.sessions.count(), 0);
    assert.equal((await thief.get("/logout")).status, 200);
    for (let i = 0; i < 5; i += 1) await turn();
    assert.equal(warnings.filter((code) => code === "SOJOURN_LISTENER").length, 2 * thrown.length);
    off();
    await visitor.get("/set");
    await visitor.get("/logout");
    assert.equal(heard, 1, "removed");
  });
});
