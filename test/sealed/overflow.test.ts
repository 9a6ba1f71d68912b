import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import type { SessionRecord, SessionStore } from "../../src/contract/store.ts";
import { TokenSource } from "../../src/crypto/token.ts";
import { Overflow } from "../../src/sealed/overflow.ts";
import { Events } from "../../src/session/events.ts";
import { StoreAccess } from "../../src/session/store-access.ts";
import { duration } from "../../src/session/timeouts.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore, type SealedStoreOptions } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Handler, type SiteOptions, site, type Visitor } from "../support/site.ts";

const secret = Buffer.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEF");

const app: Handler = async (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
  const size = Number(searchParams.get("size"));
  switch (pathname) {
    case "/fill":
      Reflect.set(req.session, "fill", "x".repeat(size));
      Reflect.set(req.session, "n", Number(searchParams.get("n")));
      break;
    case "/twice":
      for (const letter of ["a", "b", "c"]) {
        Reflect.set(req.session, "fill", letter.repeat(size));
        await req.session.save();
      }
      break;
    case "/login":
      await req.session.login(searchParams.get("user") ?? "alice", {
        remember: searchParams.has("remember") && duration(`${searchParams.get("remember")}`),
      });
      break;
    case "/change-and-logout":
      Reflect.set(req.session, "n", 7);
      await req.session.save();
      await req.session.logout();
      break;
    case "/regenerate":
      await req.session.regenerate({ keep: true });
      break;
    case "/logout":
      await req.session.logout();
      break;
    case "/static":
      res.end("nobody read the session");
      return;
  }
  const { fill, n } = req.session as { fill?: string; n?: number };
  res.end(JSON.stringify({ user: req.session.userId, fill: fill?.length ?? 0, n: n ?? 0 }));
};

/** A store whose records a test can see, and which answers with promises if it should. */
class Seen extends MemoryStore {
  readonly names = new Set<string>();
  calls = 0;
  override load(handle: string) {
    this.calls += 1;
    return super.load(handle);
  }
  override create(handle: string, record: SessionRecord) {
    this.calls += 1;
    this.names.add(handle);
    return super.create(handle, record);
  }
  get records(): [string, SessionRecord][] {
    return [...this.names].flatMap((name) => {
      const record = super.load(name);
      return record === undefined ? [] : [[name, record] as [string, SessionRecord]];
    });
  }
}

async function shop(t: TestContext, options: SealedStoreOptions = {}, more: SiteOptions = {}) {
  const clock = new ManualClock();
  const store = new Seen({ clock });
  const one = await site(t, { clock, store: new SealedStore({ secret, overflow: store, ...options }), ...more }, app);
  return { ...one, store };
}

const shown = async (visitor: Visitor, path = "/"): Promise<object> => {
  const { status, text } = await visitor.get(path);
  assert.equal(status, 200, text);
  return JSON.parse(text);
};

test("data that fits costs no store call; data that does not is sealed in the store until it fits again", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  await visitor.get("/login?user=alice@example.com");
  assert.deepEqual(await shown(visitor, "/fill?size=2500"), { user: "alice@example.com", fill: 2_500, n: 0 });
  assert.deepEqual(await shown(visitor), { user: "alice@example.com", fill: 2_500, n: 0 });
  assert.equal(one.store.calls, 0);

  for (const size of [3_000, 20_000, 65_000]) {
    await visitor.get(`/fill?size=${size}`);
    assert.ok((visitor.token ?? "").length < 300, "the seal holds a name");
    assert.deepEqual(await shown(visitor), { user: "alice@example.com", fill: size, n: 0 });
  }
  for (const [, record] of one.store.records) {
    // No short words: they come about by chance in so many characters of base64.
    assert.doesNotMatch(JSON.stringify(record), /alice@|x{8}|fill\\?"/);
    assert.equal(record.userId, null);
  }
  await visitor.get("/fill?size=100");
  const { calls } = one.store;
  assert.deepEqual(await shown(visitor), { user: "alice@example.com", fill: 100, n: 0 });
  assert.equal(one.store.calls, calls, "not asked any more");

  assert.equal((await visitor.get("/fill?size=70000")).status, 500);
  assert.match(inspect(one.errors), /maxBytes \(66048\).*"fill" \(70002 bytes\).*raise maxBytes/s);
  assert.deepEqual(await shown(visitor), { user: "alice@example.com", fill: 100, n: 0 });
  await visitor.get("/fill?size=9000");
  const { status } = await visitor.get(`/login?user=${"u".repeat(4_000)}`);
  assert.equal(status, 500, "the user's ID is in the seal");
  assert.match(inspect(one.errors[1]), /its cookie, because of its user's ID/);
  assert.equal(one.sessions.capabilities.overflows, true);
});

test("with chunks only what does not fit even so is kept elsewhere", async (t) => {
  for (const [options, least] of [
    [{ chunks: 2 }, 5_000],
    [{ chunks: 3 }, 8_500],
  ] as const) {
    const one = await shop(t, options);
    const visitor = one.visitor();
    await visitor.get(`/fill?size=${least}`);
    assert.equal(one.store.records.length, 0);
    await visitor.get("/fill?size=65900");
    assert.equal(one.store.records.length, 1);
    assert.deepEqual(await shown(visitor), { user: null, fill: 65_900, n: 0 });
    assert.deepEqual([...visitor.cookies.keys()], ["sid"], "no parts are left");
  }
});

test("an older cookie goes on meaning what it meant, and records end with the seals that name them", async (t) => {
  const one = await shop(t, {}, { idleTimeout: "10m", absoluteTimeout: "1h" });
  const visitor = one.visitor();
  await visitor.get("/fill?size=5000&n=1");
  const older = visitor.clone();
  await visitor.get("/fill?size=6000&n=2");
  assert.deepEqual(await shown(older), { user: null, fill: 5_000, n: 1 });
  assert.deepEqual(await shown(visitor), { user: null, fill: 6_000, n: 2 });
  for (let used = 0; used < 6; used += 1) {
    one.clock.advance(9 * 60_000);
    const { setCookies } = await visitor.get("/static");
    assert.equal(setCookies.length, 1, "sealed anew, and the record lives on with it");
    assert.deepEqual(await shown(visitor), { user: null, fill: 6_000, n: 2 });
  }
  assert.deepEqual(await shown(older), { user: null, fill: 0, n: 0 });
  assert.equal(one.store.records.length, 1);
  one.clock.advance(6 * 60_000);
  assert.deepEqual(await shown(visitor), { user: null, fill: 0, n: 0 }, "an hour after it began");
  one.clock.advance(60_000);
  await one.sessions.prune();
  assert.equal(one.store.count(), 0);
});

test("a remembered session's record lives as long as its cookie", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  await visitor.get("/fill?size=5000");
  await visitor.get("/login?remember=30d");
  one.clock.advance(30 * 86_400_000 - 1);
  assert.deepEqual(await shown(visitor), { user: "alice", fill: 5_000, n: 0 });
  one.clock.advance(1);
  assert.deepEqual(await shown(visitor), { user: null, fill: 0, n: 0 });
});

test("login, regenerate and logout delete the record, so that copies of the cookie end with it", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  await visitor.get("/fill?size=5000");
  for (const path of ["/login", "/regenerate", "/logout"]) {
    const before = visitor.clone();
    await visitor.get(path);
    assert.deepEqual(await shown(before), { user: null, fill: 0, n: 0 }, path);
    assert.equal(one.store.records.length, path === "/logout" ? 0 : 1, path);
  }
  assert.equal(visitor.cookies.size, 0);
});

test("a logout ends copies of the incoming cookie, even after the session was saved again", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  await visitor.get("/fill?size=5000");
  const copy = visitor.clone();
  await visitor.get("/change-and-logout");
  assert.equal(one.store.records.length, 0);
  assert.deepEqual(await shown(copy), { user: null, fill: 0, n: 0 });
});

test("what one request wrote and never sent is deleted", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  await visitor.get("/twice?size=5000");
  assert.equal(one.store.records.length, 1);
  await visitor.get("/twice?size=6000");
  assert.equal(one.store.records.length, 2, "the one that the older cookie names, and the newest");
  assert.deepEqual(await shown(visitor), { user: null, fill: 6_000, n: 0 });
});

test("a record that was changed, moved, put back or taken away opens nothing, and the visitor goes on", async (t) => {
  const one = await shop(t);
  const damaged: unknown[] = [];
  one.sessions.on("damaged-record", (event) => damaged.push(event));
  const visitor = one.visitor();
  await visitor.get("/fill?size=5000&n=1");
  await visitor.get("/fill?size=5000&n=2");
  const other = one.visitor();
  await other.get("/fill?size=5000&n=3");
  const [older, newest, foreign] = one.store.records;
  assert.ok(older !== undefined && newest !== undefined && foreign !== undefined);
  const [name, record] = newest;
  const { payload } = record;
  const rows: (SessionRecord | undefined)[] = [
    undefined,
    older[1],
    foreign[1],
    { ...record, payload: older[1].payload },
    { ...record, payload: foreign[1].payload },
    { ...record, secretHash: foreign[1].secretHash },
    { ...record, version: 2 },
    { ...record, createdAt: record.createdAt + 1 },
    { ...record, userId: "admin" },
    { ...record, payload: `${payload.slice(0, 99)}${payload[99] === "A" ? "B" : "A"}${payload.slice(100)}` },
    { ...record, payload: '[0,"n",1]\n9' },
    { ...record, payload: "" },
  ];
  for (const row of rows) {
    one.store.delete(name);
    if (row !== undefined) one.store.create(name, row);
    assert.deepEqual(await shown(visitor.clone()), { user: null, fill: 0, n: 0 }, inspect(row).slice(0, 99));
  }
  assert.ok(damaged.length > 5);
  assert.doesNotMatch(inspect(damaged), /xxx|fill/);
  one.store.delete(name);
  one.store.create(name, record);
  assert.deepEqual(await shown(visitor), { user: null, fill: 5_000, n: 2 });
  assert.deepEqual(one.errors, []);
});

test("a record is one session's, in one version: a seal of another one that names it gets nothing", async () => {
  const clock = new ManualClock();
  const deadlines = { readMs: 1_000, commitMs: 1_000 };
  const access = new StoreAccess(new MemoryStore({ clock }), clock, deadlines, new Events());
  const overflow = new Overflow(access, new TokenSource());
  const [one, other] = ["A".repeat(22), `${"B".repeat(21)}A`];
  const times = { createdAt: clock.now(), touchedAt: clock.now(), expiresAt: clock.now() + 1_000 };
  const name = await overflow.put(one, { payload: "data", version: 3, secretHash: "", userId: null, ...times });
  assert.equal(await overflow.payload(name, one, 3), "data");
  assert.equal(await overflow.payload(name, one, 2), undefined);
  assert.equal(await overflow.payload(name, one, 4), undefined);
  assert.equal(await overflow.payload(name, other, 3), undefined);
});

test("a logout whose two deletions both fail rejects once, without an unhandled rejection", async (t) => {
  let deletes = 0;
  class NeverDeletes extends Seen {
    override delete(): never {
      deletes += 1;
      // As a promise, of which nobody has to hear at once.
      return Promise.reject(new Error("down")) as never;
    }
  }
  const clock = new ManualClock();
  const one = await site(t, { clock, store: new SealedStore({ secret, overflow: new NeverDeletes({ clock }) }) }, app);
  const visitor = one.visitor();
  await visitor.get("/fill?size=9000");
  assert.equal((await visitor.get("/change-and-logout")).status, 503);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(deletes > 0);
});

test("while the store is out, small sessions work, and others are 503 and keep their cookie until logout", async (t) => {
  const one = await shop(t);
  const [small, large, growing] = [one.visitor(), one.visitor(), one.visitor()];
  await small.get("/fill?size=100");
  await large.get("/fill?size=5000");
  await growing.get("/fill?size=200");
  let isOut = true;
  const verbs = ["load", "create", "touch", "delete"] as const;
  for (const verb of verbs) {
    const real = one.store[verb].bind(one.store) as (...values: unknown[]) => unknown;
    Reflect.set(one.store, verb, (...values: unknown[]) => {
      if (isOut) throw new Error("out");
      return real(...values);
    });
  }
  assert.deepEqual(await shown(small), { user: null, fill: 100, n: 0 });
  const refused = [await large.get("/"), await growing.get("/fill?size=5000")];
  for (const { status, setCookies } of refused) assert.deepEqual([status, setCookies], [503, []]);
  const logout = await large.clone().get("/logout");
  assert.equal(logout.status, 503);
  assert.match(logout.setCookies.join(), /^sid=;.* Max-Age=0/, "who logs out is rid of the cookie all the same");
  isOut = false;
  assert.deepEqual(await shown(large), { user: null, fill: 5_000, n: 0 });
  assert.deepEqual(await shown(growing), { user: null, fill: 200, n: 0 });
});

test("a request that is late for its session's end does not bring its record back", async (t) => {
  const one = await shop(t);
  const visitor = one.visitor();
  await visitor.get("/fill?size=5000");
  const [name] = [...one.store.names];
  one.clock.advance(60_000);
  // The session ends between this request's look at it and its touch.
  const load = one.store.load.bind(one.store);
  Reflect.set(one.store, "load", (handle: string) => {
    const record = load(handle);
    one.store.delete(name ?? "");
    return record;
  });
  const { setCookies } = await visitor.clone().get("/static");
  assert.deepEqual(setCookies, []);
  Reflect.set(one.store, "load", load);
  assert.equal(one.store.records.length, 0);
});

test("the same store may keep the endings, too, and is closed once", async (t) => {
  const clock = new ManualClock();
  const store = new Seen({ clock });
  const options = { secret, overflow: store, revocations: store };
  const one = await site(t, { clock, store: new SealedStore(options) }, app);
  const visitor = one.visitor();
  await visitor.get("/login");
  await visitor.get("/fill?size=5000");
  const copy = visitor.clone();
  assert.equal(await one.sessions.revokeAll("alice"), 1);
  assert.deepEqual(await shown(copy), { user: null, fill: 0, n: 0 });
  await one.sessions.close();
  assert.throws(() => store.load("x"), { code: "STORE_CLOSED" });
});

/** A store that answers with promises, each after as many turns as it was told. */
function slow(store: MemoryStore, turns: () => number): SessionStore {
  const later = async <T>(work: () => T): Promise<T> => {
    for (let turn = turns(); turn > 0; turn -= 1) await new Promise(setImmediate);
    return work();
  };
  return {
    load: (handle) => later(() => store.load(handle)),
    create: (handle, record) => later(() => store.create(handle, record)),
    update: (handle, record, version) => later(() => store.update(handle, record, version)),
    touch: (handle, touchedAt, expiresAt) => later(() => store.touch(handle, touchedAt, expiresAt)),
    delete: (handle) => later(() => store.delete(handle)),
    close: () => store.close(),
  };
}

test("property: of parallel requests, whichever answer comes last is the session", async (t) => {
  const clock = new ManualClock();
  let delays: number[] = [];
  const store = slow(new MemoryStore({ clock }), () => delays.pop() ?? 0);
  const one = await site(t, { clock, store: new SealedStore({ secret, overflow: store }) }, app);
  const path = fc.oneof(
    fc.constantFrom("/", "/static", "/twice?size=5000"),
    fc.tuple(fc.constantFrom(10, 2_000, 4_000, 9_000), fc.nat(99)).map(([size, n]) => `/fill?size=${size}&n=${n}`),
  );
  const round = fc.record({
    paths: fc.array(path, { minLength: 1, maxLength: 4 }),
    order: fc.array(fc.nat(9), { minLength: 4, maxLength: 4 }),
    delays: fc.array(fc.nat(4), { maxLength: 20 }),
    pause: fc.constantFrom(0, 61_000, 20 * 60_000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 6 }), async (rounds) => {
      let visitor = one.visitor();
      await visitor.get("/fill?size=4000&n=7");
      let expected: object = { user: null, fill: 4_000, n: 7 };
      for (const { paths, order, pause, ...more } of rounds) {
        clock.advance(pause);
        delays = [...more.delays];
        const answers = await Promise.all(
          paths.map(async (path, position) => {
            const browser = visitor.clone();
            const { status, text, setCookies } = await browser.get(path);
            assert.equal(status, 200);
            return { browser, text, rank: order[position] ?? 0, isSent: setCookies.length > 0 };
          }),
        );
        // The browser keeps the cookie of the answer that it reads last.
        const last = answers
          .filter(({ isSent }) => isSent)
          .sort((a, b) => a.rank - b.rank)
          .at(-1);
        if (last !== undefined) {
          visitor = last.browser;
          if (last.text.startsWith("{")) expected = JSON.parse(last.text);
        }
        assert.deepEqual(await shown(visitor.clone()), expected);
      }
    }),
    { numRuns: 60 },
  );
  assert.deepEqual(one.errors, []);
});
