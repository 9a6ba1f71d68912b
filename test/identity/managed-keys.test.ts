import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { type KeySealer, type ManagedKeysOptions, managedKeys } from "../../src/identity/keys.ts";
import {
  type IndexedStore,
  MemoryStore,
  type SessionEvents,
  type SessionOptions,
  type Sessions,
  session,
} from "../../src/index.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { faulty } from "../../src/testing/faulty-store.ts";
import { gated } from "../../src/testing/gates.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { everyStore } from "../support/every-store.ts";
import { application, type Cleanup, listen, type Visitor } from "../support/site.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
const OTHER_ROOT = "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210zyxwvu";
const DAY = 86_400_000;
const HOUR = 3_600_000;
const NOTE = "!keys:sojourn";

interface Machine {
  clock: ManualClock;
  keys: ReturnType<typeof managedKeys>;
  sessions: Sessions;
  visitor(): Visitor;
  errors: unknown[];
  rotations: SessionEvents["keys-rotated"][];
  failures: string[];
}

/** One process of an application: its own clock, its own reading of the keys. */
async function machine(
  t: Cleanup,
  store: IndexedStore,
  { options = {}, ...sessionOptions }: SessionOptions & { options?: Partial<ManagedKeysOptions> } = {},
): Promise<Machine> {
  const clock = new ManualClock();
  const keys = managedKeys({ store, rootKey: ROOT, clock, ...options });
  const sessions = session({ store, clock, secret: keys, ...sessionOptions });
  const rotations: SessionEvents["keys-rotated"][] = [];
  const failures: string[] = [];
  sessions.on("keys-rotated", (detail) => rotations.push(detail));
  sessions.on("store-error", ({ operation, error }) => failures.push(`${operation}: ${error.code}`));
  const errors: unknown[] = [];
  const listener = application(
    "express5",
    sessions,
    async (req, res) => {
      const remember = new URL(req.url ?? "/", "http://x").searchParams.get("remember");
      if (req.url?.startsWith("/login"))
        await req.session.login("alice", remember === null ? {} : { remember: "300d" });
      res.end(String(req.session.userId));
    },
    { errors },
  );
  const { visitor } = await listen(t, createServer(listener), sessions);
  return { clock, keys, sessions, visitor, errors, rotations, failures };
}

/** Lets what a timer has begun in memory come to its end: promises only. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function advance({ clock }: Machine, ms: number): Promise<void> {
  clock.advance(ms);
  await settled();
}

async function keyCount(store: IndexedStore): Promise<number> {
  const note = await store.load(NOTE);
  return note === undefined ? 0 : JSON.parse(note.payload).length;
}

const memory = (clock = new ManualClock()) => new MemoryStore({ clock });

for (const { name, skip, open } of everyStore()) {
  test(`processes that start at once agree on one first key: ${name}`, { skip }, async (t) => {
    const clock = new ManualClock();
    const store = open(clock);
    t.after(() => store.close());
    const unique = `test-${name.replaceAll(/\W/g, "-")}-${process.pid}`;
    const all = Array.from({ length: 8 }, () => managedKeys({ store, rootKey: ROOT, clock, name: unique }));
    await Promise.all(all.map((keys) => keys.ready()));
    const note = await store.load(`!keys:${unique}`);
    assert.equal(JSON.parse(note?.payload ?? "[]").length, 1);
    await store.delete(`!keys:${unique}`);
  });
}

describe("a rotation", () => {
  test("makes a key that every process reads before one of them writes with it", async (t) => {
    const store = memory();
    const [first, second] = [await machine(t, store), await machine(t, store)];
    const alice = first.visitor();
    await alice.get("/login?remember");
    const before = alice.token;
    assert.equal((await second.visitor().request("GET", "/", { cookie: `sid=${before}` })).text, "alice");
    assert.deepEqual([first.rotations.length, second.rotations.length], [1, 0]);

    // Eleven minutes ahead: twice the interval of reading, and a minute for the clocks.
    await advance(first, 90 * DAY - 11 * 60_000);
    assert.deepEqual(first.rotations.at(-1), { keys: 2, writesFrom: new Date(first.clock.now() + 11 * 60_000) });
    assert.equal((await alice.get("/")).setCookies.length, 0, "the old key still writes");
    await advance(first, 11 * 60_000);
    const renewed = await alice.get("/");
    assert.equal(renewed.text, "alice");
    assert.notEqual(alice.token, before);
    assert.equal(alice.token?.slice(0, 55), before?.slice(0, 55), "only its MAC is new");
    assert.equal(await keyCount(store), 2);
    assert.equal(first.rotations.length, 2);
  });

  test("of two processes at once makes one key", async (t) => {
    const { store, hold } = gated(memory(), { synchronousLoad: false });
    const [first, second] = [await machine(t, store), await machine(t, store)];
    await Promise.all([first.keys.ready(), second.keys.ready()]);
    const gate = hold("update", "before");
    first.clock.advance(90 * DAY);
    await gate.reached;
    await advance(second, 90 * DAY);
    assert.equal(second.rotations.length, 1);
    gate.release();
    await settled();
    assert.deepEqual([first.rotations.length, second.rotations.length, await keyCount(store)], [1, 1, 2]);
    // Both write with it, and read what the other wrote.
    for (const one of [first, second]) await advance(one, HOUR);
    const alice = first.visitor();
    await alice.get("/login");
    const answer = await second.visitor().request("GET", "/", { cookie: `sid=${alice.token}` });
    assert.deepEqual([answer.text, answer.setCookies], ["alice", []]);
  });

  test("a write whose reply is lost makes no second key", async (t) => {
    const { store, fail } = faulty(memory(), { synchronousLoad: false });
    const one = await machine(t, store);
    await one.keys.ready();
    fail("update", { kind: "lost reply" });
    await advance(one, 90 * DAY);
    assert.deepEqual(one.failures, ["update: STORE_UNAVAILABLE"]);
    await advance(one, 10_000);
    assert.equal(await keyCount(store), 2);
  });

  test("keeps old keys as long as a remembered session can live, and no longer", async (t) => {
    const store = memory();
    const one = await machine(t, store);
    const alice = one.visitor();
    await alice.get("/login?remember");
    for (let days = 1; days <= 299; days += 1) await advance(one, DAY);
    assert.equal(await keyCount(store), 4);
    assert.equal((await alice.get("/")).text, "alice");
    // 400 days after the first key stopped writing, at day 90, the next rotation drops it.
    for (let days = 300; days <= 560; days += 1) await advance(one, DAY);
    const payloads = await keyCount(store);
    assert.ok(payloads >= 5 && payloads <= 6, `${payloads} keys`);
  });
});

describe("a token of a key that a process does not know", () => {
  async function behind(t: TestContext) {
    const { store, calls, fail } = faulty(memory());
    const [ahead, late] = [await machine(t, store), await machine(t, store)];
    await Promise.all([ahead.keys.ready(), late.keys.ready()]);
    await advance(ahead, 90 * DAY);
    await advance(ahead, HOUR);
    const alice = ahead.visitor();
    await alice.get("/login");
    return { store, late, alice, fail, loads: () => calls.filter((operation) => operation === "load").length };
  }

  test("makes it read the keys again, and opens the session", async (t) => {
    const { late, alice } = await behind(t);
    late.clock.advance(10_000);
    const answer = await late.visitor().request("GET", "/", { cookie: `sid=${alice.token}` });
    assert.equal(answer.text, "alice");
  });

  test("an upgrade, too", async (t) => {
    const { late, alice } = await behind(t);
    late.clock.advance(10_000);
    const req: Partial<IncomingMessage> = { headers: { cookie: `sid=${alice.token}`, host: "x" }, rawHeaders: [] };
    const found = await Reflect.apply(late.sessions.authenticateUpgrade, undefined, [req]);
    assert.equal(found?.userId, "alice");
  });

  test("forged ones make it read once in ten seconds, not for each request", async (t) => {
    const { late, alice, loads } = await behind(t);
    late.clock.advance(10_000);
    const forge = () => late.visitor().request("GET", "/", { cookie: `sid=${alice.token?.slice(0, -1)}~` });
    const before = loads();
    for (let requests = 0; requests < 30; requests += 1) assert.equal((await forge()).text, "null");
    assert.equal(loads() - before, 1);
    late.clock.advance(9_999);
    await forge();
    assert.equal(loads() - before, 1);
    late.clock.advance(1);
    await forge();
    assert.equal(loads() - before, 2);
  });

  test("while the store is down, the request goes on with the known keys", async (t) => {
    const { late, alice, fail } = await behind(t);
    late.clock.advance(10_000);
    fail("load", { kind: "error" });
    const answer = await late.visitor().request("GET", "/", { cookie: `sid=${alice.token}` });
    assert.deepEqual([answer.status, answer.text], [200, "null"]);
    assert.deepEqual(late.failures, ["load: STORE_UNAVAILABLE"]);
  });
});

describe("the store", () => {
  test("is read before the first request, which waits", async (t) => {
    const { store, hold } = gated(memory(), { synchronousLoad: false });
    const gate = hold("create", "before");
    const one = await machine(t, store);
    const answer = one.visitor().get("/login");
    await gate.reached;
    gate.release();
    assert.equal((await answer).text, "alice");
  });

  test("that is down at the start: 503, until it is back", async (t) => {
    const { store, fail, heal } = faulty(memory());
    fail("load", { kind: "error" }, Number.POSITIVE_INFINITY);
    const one = await machine(t, store);
    assert.equal((await one.visitor().get("/")).status, 503);
    await assert.rejects(one.keys.ready(), { code: "STORE_UNAVAILABLE" });
    heal();
    assert.equal((await one.visitor().get("/")).status, 503, "within a second it is not asked again");
    one.clock.advance(1_000);
    assert.equal((await one.visitor().get("/login")).text, "alice");
  });

  test("that is down later: the known keys go on, and are read again in time", async (t) => {
    const keyStore = faulty(memory());
    const one = await machine(t, memory(), { options: { store: keyStore.store } });
    const alice = one.visitor();
    await alice.get("/login");
    keyStore.fail("any", { kind: "error" }, Number.POSITIVE_INFINITY);
    await advance(one, 5 * 60_000);
    await advance(one, 10_000);
    assert.deepEqual(one.failures, ["load: STORE_UNAVAILABLE", "load: STORE_UNAVAILABLE"]);
    assert.equal((await alice.get("/")).text, "alice");
    keyStore.heal();
    await advance(one, 10_000);
    assert.equal(one.failures.length, 2);
  });

  test("that lost the keys gets the known ones back", async (t) => {
    const keyStore = memory();
    const one = await machine(t, memory(), { options: { store: keyStore } });
    const alice = one.visitor();
    await alice.get("/login");
    const note = await keyStore.load(NOTE);
    await keyStore.delete(NOTE);
    await advance(one, 5 * 60_000);
    assert.equal((await keyStore.load(NOTE))?.payload, note?.payload);
    assert.equal((await alice.get("/")).text, "alice");
  });

  test("holds nothing that opens without the root key, and no inspection shows a key", async (t) => {
    const store = memory();
    const shown: Buffer[] = [];
    const rootKey: KeySealer = {
      seal(key) {
        shown.push(key);
        return "a sealed text";
      },
      open: () => assert.fail("this process made it"),
    };
    const one = await machine(t, store, { options: { rootKey } });
    await one.keys.ready();
    assert.equal((await store.load(NOTE))?.payload, '["a sealed text"]');
    const { key } = JSON.parse(String(shown[0]));
    assert.match(key, /^[\w-]{43}$/);
    const options = { depth: Number.POSITIVE_INFINITY, showHidden: true };
    for (const value of [one.keys, one.sessions]) assert.ok(!inspect(value, options).includes(key));
    assert.equal(JSON.stringify(one.keys), "{}");
  });

  test("no timer is left once the sessions are closed", async () => {
    const clock = new ManualClock();
    const store = memory(clock);
    const sessions = session({ store, clock, secret: managedKeys({ store, rootKey: ROOT, clock }) });
    await settled();
    await sessions.close();
    await settled();
    assert.equal(clock.pending, 0);
  });
});

describe("the root key", () => {
  test("is a list when it changes: the first seals, all open", async (t) => {
    const store = memory();
    const old = await machine(t, store);
    const alice = old.visitor();
    await alice.get("/login");
    const next = await machine(t, store, { options: { rootKey: [OTHER_ROOT, ROOT] } });
    assert.equal((await next.visitor().request("GET", "/", { cookie: `sid=${alice.token}` })).text, "alice");
  });

  test("that is wrong: KEYS_UNAVAILABLE with the remedy, and the keys stay as they are", async (t) => {
    const store = memory();
    await (await machine(t, store)).keys.ready();
    const before = await store.load(NOTE);
    const wrong = await machine(t, store, { options: { rootKey: OTHER_ROOT } });
    await assert.rejects(wrong.keys.ready(), (error: Error & { code?: string; cause?: Error }) => {
      assert.equal(error.code, "KEYS_UNAVAILABLE");
      assert.match(String(error.cause?.message), /set the one that sealed them, or list both/);
      assert.ok(!inspect(error).includes(OTHER_ROOT));
      return true;
    });
    assert.equal((await wrong.visitor().get("/")).status, 503);
    assert.ok(wrong.failures.includes("read the managed keys: KEYS_UNAVAILABLE"));
    assert.deepEqual(await store.load(NOTE), before);
  });

  test("of a key management service is called once for each key and process", async (t) => {
    const store = memory();
    const calls: string[] = [];
    const kms: KeySealer = {
      async seal(key) {
        calls.push("seal");
        return Buffer.from(key).toString("hex");
      },
      async open(text) {
        calls.push("open");
        return Buffer.from(text, "hex");
      },
    };
    const [first, second] = [
      await machine(t, store, { options: { rootKey: kms } }),
      await machine(t, store, { options: { rootKey: kms } }),
    ];
    await Promise.all([first.keys.ready(), second.keys.ready()]);
    const alice = first.visitor();
    await alice.get("/login");
    assert.equal((await second.visitor().request("GET", "/", { cookie: `sid=${alice.token}` })).text, "alice");
    for (let reads = 0; reads < 5; reads += 1) for (const one of [first, second]) await advance(one, 5 * 60_000);
    // Both may have begun to make the first key; one of them was stored.
    assert.ok(calls.filter((call) => call === "seal").length <= 2);
    assert.equal(calls.filter((call) => call === "open").length, 1);
  });

  test("of a service that answers nonsense, fails or hangs: KEYS_UNAVAILABLE", async (t) => {
    const sealers: [KeySealer, RegExp][] = [
      [{ seal: () => "", open: () => Buffer.alloc(0) }, /seal returned no text/],
      [{ seal: () => Promise.reject(new Error("denied")), open: () => Buffer.alloc(0) }, /seal failed/],
      [{ seal: () => new Promise(() => {}), open: () => Buffer.alloc(0) }, /did not answer within 10000 ms/],
    ];
    for (const [rootKey, message] of sealers) {
      const one = await machine(t, memory(), { options: { rootKey } });
      const failed = assert.rejects(one.keys.ready(), { code: "KEYS_UNAVAILABLE", message });
      await advance(one, 10_000);
      await failed;
    }
    const store = memory();
    await (await machine(t, store)).keys.ready();
    for (const body of [Buffer.from("{}"), Buffer.from("no JSON"), Buffer.alloc(0)]) {
      const one = await machine(t, store, { options: { rootKey: { seal: () => "x", open: () => body } } });
      await assert.rejects(one.keys.ready(), { code: "KEYS_UNAVAILABLE", message: /no key/ });
    }
  });
});

describe("all that keys make goes through a rotation", () => {
  test("payloads encrypted at rest", async (t) => {
    const store = memory();
    const one = await machine(t, store, { encrypt: true });
    const alice = one.visitor();
    await alice.get("/login?remember");
    await advance(one, 90 * DAY);
    await advance(one, HOUR);
    assert.equal((await alice.get("/")).text, "alice");
  });

  test("sealed sessions, which are sealed anew", async (t) => {
    const keyStore = memory();
    const clock = new ManualClock();
    const secret = managedKeys({ store: keyStore, rootKey: ROOT, clock });
    const sessions = session({ store: new SealedStore(), secret, clock });
    const listener = application("node", sessions, async (req, res) => {
      if (req.url === "/login") await req.session.login("alice", { remember: "300d" });
      res.end(String(req.session.userId));
    });
    const { visitor } = await listen(t, createServer(listener), sessions);
    const alice = visitor();
    await alice.get("/login");
    const before = alice.token;
    clock.advance(90 * DAY);
    await settled();
    clock.advance(HOUR);
    await settled();
    assert.equal((await alice.get("/")).text, "alice");
    assert.notEqual(alice.token, before);
  });
});

const { folder, remove } = temporaryFolder();
after(remove);

test("four real processes over SQLite make one key, and open each other's sessions", async (t) => {
  const file = join(folder, "keys.db");
  const start = async (): Promise<string> => {
    const child = fork(join(import.meta.dirname, "keys-process.ts"), [file, ROOT]);
    t.after(() => child.kill());
    const [{ url }] = await once(child, "message");
    return url;
  };
  const urls = await Promise.all([start(), start(), start(), start()]);
  for (const [index, url] of urls.entries()) {
    const login = await fetch(`${url}/login?user=user${index}`);
    const cookie = login.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    for (const other of urls) {
      const answer = await fetch(other, { headers: { cookie } });
      assert.equal(await answer.text(), `user${index}`);
    }
  }
  const store = new SqliteStore(file);
  t.after(() => store.close());
  assert.equal(await keyCount(store), 1);
});

test("options that can't work are refused with the remedy", () => {
  const store = memory();
  const good = { store, rootKey: ROOT };
  const loose = { load() {}, create() {}, update() {}, capabilities: { atomicUpdate: false } };
  const cases: [options: unknown, message: RegExp][] = [
    [undefined, /options must be an object/],
    [{ ...good, store: undefined }, /store must have load, create and update/],
    [{ ...good, store: loose }, /needs a store that updates atomically/],
    [{ ...good, rootKey: undefined }, /rootKey must be a secret of at least 32 random bytes, or \{ seal, open \}/],
    [{ ...good, rootKey: { seal() {} } }, /rootKey must be/],
    [{ ...good, rootKey: [] }, /secret must be/],
    [{ ...good, rotateEvery: "59m" }, /rotateEvery must be at least "1h"/],
    [{ ...good, rotateEvery: "soon" }, /rotateEvery/],
    [{ ...good, keepFor: "a year" }, /keepFor/],
    [{ ...good, name: "a b" }, /name must have 1 to 64/],
    [{ ...good, every: "1d" }, /every \}\) is not an option: the options are store/],
  ];
  for (const [options, message] of cases)
    assert.throws(() => Reflect.apply(managedKeys, undefined, [options]), { name: "TypeError", message });
  for (const [keepFor, absoluteTimeout] of [
    ["1h", "12h"],
    ["400d", false],
  ] as const) {
    assert.throws(() => session({ store, secret: managedKeys({ ...good, keepFor }), absoluteTimeout }), {
      name: "TypeError",
      message: /keepFor \}\) must be at least as long as absoluteTimeout/,
    });
  }
});
