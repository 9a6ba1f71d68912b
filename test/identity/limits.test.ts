import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import type { IndexedStore } from "../../src/contract/store.ts";
import { type Device, resilient, type SessionLimit, SojournError, session } from "../../src/index.ts";
import { UserLimit } from "../../src/session/policy.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine, type Held } from "../support/contexts.ts";
import { everyStore } from "../support/every-store.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Site, type SiteOptions, site, type Visitor } from "../support/site.ts";

test("what is no limit is refused, by name", async () => {
  const refused: unknown[] = [
    0,
    -1,
    1.5,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    "5",
    null,
    {},
    [],
    true,
    { limit: 0 },
    { limit: "5" },
    { exceed: "refuse" },
  ];
  for (const given of refused) {
    assert.throws(() => Reflect.apply(session, undefined, [{ maxSessionsPerUser: given }]), {
      name: "TypeError",
      message: /^maxSessionsPerUser must be a whole number of sessions from 1/,
    });
  }
  for (const exceed of ["revoke", "", null, 1]) {
    assert.throws(() => Reflect.apply(session, undefined, [{ maxSessionsPerUser: { limit: 1, exceed } }]), {
      name: "TypeError",
      message: /^maxSessionsPerUser\.exceed must be "revoke-oldest" or "refuse"$/,
    });
  }
  const table: [limit: unknown, userId: string, room: unknown][] = [
    [5, "ada", { limit: 5, exceed: "revoke-oldest" }],
    [Number.POSITIVE_INFINITY, "ada", undefined],
    [(userId: string) => userId.length, "ada", { limit: 3, exceed: "revoke-oldest" }],
    [async () => Number.POSITIVE_INFINITY, "ada", undefined],
    [async () => 1, "ada", { limit: 1, exceed: "revoke-oldest" }],
  ];
  for (const [limit, userId, room] of table) assert.deepEqual(await new UserLimit(limit).roomOf(userId), room);
  for (const limit of [() => 0, async () => undefined, () => "5"])
    await assert.rejects(async () => new UserLimit(limit).roomOf("ada"), {
      name: "TypeError",
      message: /^maxSessionsPerUser/,
    });
});

test("a store that can't keep a limit is refused at start, with a remedy", async () => {
  const { admit, ...methods } = new ProbeStore(new MemoryStore()).store;
  assert.equal(typeof admit, "function");
  const express = { get() {}, set() {}, destroy() {} };
  const sealed = new SealedStore({ secret: "a secret of a test, long enough for all" });
  for (const [store, message] of [
    [methods, /^maxSessionsPerUser needs a store with the method admit.*SqliteStore/],
    [express, /^maxSessionsPerUser needs a store with the method admit/],
    [sealed, /^maxSessionsPerUser: nothing counts sealed sessions.*SqliteStore/],
  ] as const) {
    assert.throws(() => session({ store, maxSessionsPerUser: 5 }), { name: "TypeError", message });
  }
});

/** Logs in at `/login?user`, and tells the user elsewhere. `/data` puts something into the session before. */
async function start(
  t: { after(action: () => unknown): void },
  options: SiteOptions,
): Promise<Site & { refusals: unknown[] }> {
  const refusals: unknown[] = [];
  const one = await site(t, { storeTimeout: { read: "1m", commit: "1m" }, ...options }, async (req, res) => {
    const [path, user = ""] = (req.url ?? "").split("?");
    if (path === "/data") Object.assign(req.session, { cart: ["book"] });
    if (path === "/everywhere") await req.session.logout({ everywhere: true });
    if (path === "/login") {
      const before = req.session.id;
      try {
        await req.session.login(decodeURIComponent(user));
      } catch (error) {
        refusals.push(error);
        res.statusCode = error instanceof SojournError ? error.status : 500;
        assert.equal(req.session.id, before);
        Object.assign(req.session, { refused: true });
      }
    }
    const data = Object.entries(req.session).sort(([one], [other]) => (one < other ? -1 : 1));
    res.end(`${req.session.userId} ${JSON.stringify(Object.fromEntries(data))}`);
  });
  return Object.assign(one, { refusals });
}

for (const { name, skip, open } of everyStore()) {
  describe(`a limit on a user's sessions, over ${name}`, { skip }, () => {
    /** Tests share a database's table, so each has its own users. */
    const userOf = (test: string) => `${test} of ${name}`;
    const at = (user: string) => `/login?${encodeURIComponent(user)}`;

    test("ends the sessions used longest ago, tells it, and leaves other users alone", async (t) => {
      const clock = new ManualClock();
      const one = await start(t, { clock, store: open(clock), maxSessionsPerUser: 2, touchAfter: 0 });
      const [user, other] = [userOf("oldest"), userOf("other")];
      const told: unknown[] = [];
      one.sessions.on("revoke", (detail) => told.push(detail));
      const login = async (who = user, visitor = one.visitor()) => {
        clock.advance(1_000);
        assert.equal((await visitor.get(at(who))).status, 200);
        return visitor;
      };
      const users = async (...visitors: Visitor[]) =>
        Promise.all(visitors.map(async (visitor) => (await visitor.get("/")).text.split(" {")[0]));
      const [first, second, elsewhere] = [await login(), await login(), await login(other)];
      assert.deepEqual(told, []);
      clock.advance(1_000);
      // Now the second one is the one used longest ago.
      await first.get("/");
      const oldest = second.token?.split(".")[0];
      const third = await login();
      assert.deepEqual(told, [{ handle: oldest, userId: user, count: 1 }]);
      assert.deepEqual(await users(second, elsewhere), ["null", other]);
      assert.equal(await one.sessions.count(user), 2);
      // A login of the same user replaces its own session, and needs no room.
      await login(user, third);
      assert.deepEqual([await one.sessions.count(user), told.length], [2, 1]);
      assert.deepEqual(await users(first, third), [user, user]);
      // Another user's does.
      await login(user, elsewhere);
      assert.equal(await one.sessions.count(user), 2);
      assert.equal(await one.sessions.count(other), 0);
      assert.equal(told.length, 2);
      await one.sessions.revokeAll(user);
      await login();
      assert.equal(await one.sessions.count(user), 1);
      await one.sessions.revokeAll(user);
    });

    test("refuses a login, after which the request and its session are as before", async (t) => {
      const clock = new ManualClock();
      const maxSessionsPerUser: SessionLimit = { limit: 1, exceed: "refuse" };
      const one = await start(t, { clock, store: open(clock), maxSessionsPerUser });
      const user = userOf("refuse");
      const first = one.visitor();
      assert.equal((await first.get(at(user))).text, `${user} {}`);
      const second = one.visitor();
      await second.get("/data");
      const token = second.token;
      const refused = await second.get(at(user));
      assert.deepEqual([refused.status, refused.text], [409, 'null {"cart":["book"],"refused":true}']);
      assert.equal(second.token, token);
      assert.equal((await second.get("/")).text, 'null {"cart":["book"],"refused":true}');
      const [error] = one.refusals;
      assert.ok(error instanceof SojournError && error.code === "TOO_MANY_SESSIONS");
      const [device, ...more] = error.devices ?? [];
      assert.deepEqual(more, []);
      assert.partialDeepStrictEqual(device, { handle: first.token?.split(".")[0], userId: user, current: false });
      for (const text of [inspect(error, { depth: 9 }), JSON.stringify(error)])
        assert.ok(!text.includes("127.0.0.1") && !text.includes("devices"), text);
      // What the page offers to end makes room.
      assert.equal(await one.sessions.revoke(device?.handle ?? "", { userId: user }), true);
      assert.equal((await second.get(at(user))).text, `${user} {"cart":["book"],"refused":true}`);
      assert.notEqual(second.token, token);
      assert.equal((await first.get("/")).text, "null {}");
      // Its own session makes room for a user who logs in again.
      assert.equal((await second.get(at(user))).status, 200);
      assert.equal((await first.get(at(user))).status, 409);
      assert.equal((await second.get("/")).text.split(" {")[0], user);
      await one.sessions.revokeAll(user);
    });

    for (const exceed of ["revoke-oldest", "refuse"] as const) {
      test(`leaves exactly as many of parallel logins in two servers: ${exceed}`, async (t) => {
        const clock = new ManualClock();
        const options = { clock, maxSessionsPerUser: { limit: 3, exceed } };
        const store = open(clock);
        const shared = { ...options, store };
        const [one, two] = [await start(t, shared), await start(t, shared)];
        const user = userOf(exceed);
        const visitors = Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? one : two).visitor());
        const answers = await Promise.all(visitors.map((visitor) => visitor.get(at(user))));
        assert.equal(await one.sessions.count(user), 3);
        const opened = await Promise.all(
          visitors.map(async (visitor) => (await visitor.get("/")).text.startsWith(user)),
        );
        assert.equal(opened.filter(Boolean).length, 3);
        const accepted = answers.filter(({ status }) => status === 200).length;
        assert.equal(accepted, exceed === "refuse" ? 3 : 12);
        if (exceed === "refuse") {
          for (const [index, { status }] of answers.entries()) assert.equal(opened[index], status === 200);
        }
        assert.deepEqual([...one.errors, ...two.errors], []);
        await one.sessions.revokeAll(user);
      });
    }
  });
}

describe("a limit on a user's sessions", () => {
  const memory = (clock: ManualClock) => new MemoryStore({ clock, acceptLossOnRestart: true });

  test("is asked for each user, and may take its time", async (t) => {
    const clock = new ManualClock();
    const asked: string[] = [];
    const limit = async (userId: string) => {
      asked.push(userId);
      await new Promise(setImmediate);
      if (userId === "broken") throw new Error("no database");
      return userId === "admin" ? Number.POSITIVE_INFINITY : 1;
    };
    const one = await start(t, { clock, store: memory(clock), maxSessionsPerUser: { limit } });
    for (let i = 0; i < 3; i += 1) for (const user of ["ada", "admin"]) await one.visitor().get(`/login?${user}`);
    assert.deepEqual([await one.sessions.count("ada"), await one.sessions.count("admin")], [1, 3]);
    assert.deepEqual(asked, ["ada", "admin", "ada", "admin", "ada", "admin"]);
    assert.equal((await one.visitor().get("/login?broken")).status, 500);
    assert.deepEqual(one.refusals, [new Error("no database")]);
  });

  test("is kept through resilient(), and with encrypted data", async (t) => {
    for (const exceed of ["revoke-oldest", "refuse"] as const) {
      const clock = new ManualClock();
      const secret = "a secret of a test, long enough for all";
      const store = resilient(memory(clock), { clock });
      const one = await start(t, { clock, store, secret, encrypt: true, maxSessionsPerUser: { limit: 1, exceed } });
      const [first, second] = [one.visitor(), one.visitor()];
      await first.get("/login?ada");
      const answer = await second.get("/login?ada");
      assert.equal(answer.status, exceed === "refuse" ? 409 : 200);
      const users = [(await first.get("/")).text, (await second.get("/")).text].map((text) => text.split(" ")[0]);
      assert.deepEqual(users, exceed === "refuse" ? ["ada", "null"] : ["null", "ada"]);
      assert.equal(await one.sessions.count("ada"), 1);
    }
  });

  test("counts no session that has expired", async (t) => {
    const clock = new ManualClock();
    const maxSessionsPerUser: SessionLimit = { limit: 1, exceed: "refuse" };
    const one = await start(t, { clock, store: memory(clock), maxSessionsPerUser });
    await one.visitor().get("/login?ada");
    clock.advance(30 * 60_000 - 1);
    assert.equal((await one.visitor().get("/login?ada")).status, 409);
    clock.advance(1);
    assert.equal((await one.visitor().get("/login?ada")).status, 200);
  });

  test("costs nothing where there is none, and one call of the store where there is", async (t) => {
    const clock = new ManualClock();
    for (const [maxSessionsPerUser, operation] of [
      [undefined, "create"],
      [Number.POSITIVE_INFINITY, "create"],
      [2, "admit"],
      [{ limit: 2, exceed: "refuse" }, "admit"],
    ] as const) {
      const probe = new ProbeStore(memory(clock), { async: true });
      const one = await start(t, { clock, store: probe.store, maxSessionsPerUser });
      await one.visitor().get("/login?ada");
      assert.deepEqual(probe.operations, [operation]);
    }
  });

  test("without a way to send the cookie nothing is stored or refused", async () => {
    const { request, admin } = engine({ policy: { userLimit: new UserLimit(1, "refuse") } });
    const first = await request();
    await first.session.login("ada");
    await first.end();
    const insecure = await request(undefined, { delivery: "insecure" });
    await insecure.session.login("ada");
    assert.equal(insecure.session.userId, "ada");
    await insecure.end();
    const late = await request(undefined, { delivery: "headers-sent" });
    await assert.rejects(late.session.login("ada"), { code: "HEADERS_SENT" });
    assert.equal(await admin.count("ada"), 1);
  });

  for (const exceed of ["revoke-oldest", "refuse"] as const) {
    test(`a store that fails leaves no session and no token behind: ${exceed}`, async (t) => {
      const clock = new ManualClock();
      const probe = new ProbeStore(memory(clock), { async: true });
      const one = await start(t, { clock, store: probe.store, maxSessionsPerUser: { limit: 1, exceed } });
      const first = one.visitor();
      await first.get("/login?ada");
      const second = one.visitor();
      await second.get("/data");
      const token = second.token;
      probe.fail(new Error("down"), "admit");
      assert.equal((await second.get("/login?ada")).status, 503);
      assert.equal(second.token, token);
      probe.heal();
      assert.match((await second.get("/")).text, /^null \{"cart":\["book"\]/);
      assert.equal((await first.get("/")).text, "ada {}");
      assert.deepEqual(await one.sessions.count(), 2);
    });

    test(`a reply that is lost leaves no session that nobody holds: ${exceed}`, async () => {
      const clock = new ManualClock();
      const probe = new ProbeStore(memory(clock), { async: true });
      const { request } = engine({ clock, store: probe.store, policy: { userLimit: new UserLimit(2, exceed) } });
      const gate = probe.gate("admit", "after");
      const visit = await request();
      const login = visit.session.login("ada").then(() => visit.end());
      const failed = assert.rejects(login, { code: "STORE_TIMEOUT" });
      await gate.arrived();
      assert.equal((await probe.inner.list({ userId: "ada" })).sessions.length, 1);
      await clock.advance(2_000);
      await failed;
      gate.open();
      await new Promise(setImmediate);
      assert.equal((await probe.inner.list({ userId: "ada" })).sessions.length, 0);
      const next = await request();
      await next.session.login("ada");
      assert.ok(await next.end());
    });
  }

  test("a store that can't keep it in this configuration says so at the login", async () => {
    const inner: IndexedStore = memory(new ManualClock());
    const store = new ProbeStore(inner).store;
    store.admit = () => ({ result: "unsupported" });
    const { request } = engine({ store, policy: { userLimit: new UserLimit(1, "refuse") } });
    const visit = await request();
    await assert.rejects(visit.session.login("ada"), { code: "NO_USER_INDEX", message: /^maxSessionsPerUser needs/ });
    assert.equal(visit.session.userId, null);
  });

  test("a login that was refused changes nothing of what the request did and does", async () => {
    const { request } = engine({ policy: { userLimit: new UserLimit(1, "refuse") } });
    const first = await request();
    await first.session.login("ada");
    await first.end();
    const before = await request();
    Object.assign(before.session, { cart: ["book"], old: 1 });
    const held = await before.end();
    const visit = await request(held);
    const { session } = visit;
    const cart: string[] = Object(session).cart;
    cart.push("lamp");
    Reflect.deleteProperty(session, "old");
    session.flash("info", "Hello.");
    await session.persist("1d");
    await assert.rejects(session.login("ada"), { code: "TOO_MANY_SESSIONS" });
    cart.push("pen");
    const kept = await visit.end();
    assert.equal(kept?.handle, held?.handle);
    const next = await request(kept);
    assert.deepEqual({ ...next.session }, { cart: ["book", "lamp", "pen"] });
    assert.deepEqual(next.session.flash("info"), ["Hello."]);
  });

  test("a login that was not refused carries over what it always does", async () => {
    for (const exceed of ["revoke-oldest", "refuse"] as const) {
      const { request, told } = engine({ policy: { userLimit: new UserLimit(2, exceed) } });
      const before = await request();
      Object.assign(before.session, { cart: ["book"], old: 1, theirs: 1 });
      const held = await before.end();
      const [visit, parallel] = [await request(held), await request(held)];
      const { session } = visit;
      const cart: string[] = Object(session).cart;
      cart.push("lamp");
      Reflect.deleteProperty(session, "old");
      session.flash("info", "Hello.");
      assert.equal(Object(session).theirs, 1);
      Object.assign(parallel.session, { theirs: 2 });
      await parallel.end();
      await session.login("ada", { methods: ["pwd"] });
      cart.push("pen");
      const kept = await visit.end();
      const next = await request(kept);
      assert.deepEqual({ ...next.session }, { cart: ["book", "lamp", "pen"], theirs: 2 }, exceed);
      assert.deepEqual(next.session.flash("info"), ["Hello."]);
      assert.deepEqual([next.session.userId, next.session.authenticationMethods], ["ada", ["pwd"]]);
      assert.equal((await request(held)).wasOpened, false);
      const logins = told.filter(({ event }) => event === "login");
      assert.deepEqual(logins, [{ event: "login", handle: kept?.handle, userId: "ada", previous: held?.handle }]);
    }
  });

  test("a logout during a login that is stored at once is not undone", async () => {
    const clock = new ManualClock();
    const probe = new ProbeStore(memory(clock), { async: true });
    const { request, admin } = engine({ clock, store: probe.store, policy: { userLimit: new UserLimit(1, "refuse") } });
    const gate = probe.gate("admit");
    const visit = await request();
    const login = visit.session.login("ada");
    const refused = assert.rejects(login, { code: "SESSION_ENDED" });
    await gate.arrived();
    const logout = visit.session.logout();
    gate.open();
    await Promise.all([refused, logout]);
    await visit.end();
    assert.equal(visit.session.userId, null);
    assert.equal(await admin.count("ada"), 0);
  });

  test("the devices of a refused login are those that the store has then", async () => {
    const { request, admin } = engine({ policy: { userLimit: new UserLimit(2, "refuse") } });
    const held: (Held | undefined)[] = [];
    for (let i = 0; i < 2; i += 1) {
      const visit = await request();
      await visit.session.login("ada");
      held.push(await visit.end());
    }
    const visit = await request();
    const error: unknown = await visit.session.login("ada").catch((reason: unknown) => reason);
    assert.ok(error instanceof SojournError);
    const devices: readonly Device[] = error.devices ?? [];
    assert.deepEqual(devices, await admin.list("ada"));
    assert.deepEqual(new Set(devices.map(({ handle }) => handle)), new Set(held.map((one) => one?.handle)));
  });
});
