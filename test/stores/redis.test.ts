import { deepEqual, doesNotMatch, equal, match, ok, throws } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import { Cluster, Redis } from "ioredis";
import { createClient, createClientPool } from "redis";
import { shardOf } from "../../src/stores/redis/keys.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { packages, record, refuses } from "../support/redis-records.ts";
import { eventually } from "../support/servers/private-process.ts";
import { FaultProxy } from "../support/servers/proxy.ts";
import { ask, keyPrefix, keysOf, removeKeys, sharedRedis } from "../support/servers/redis.ts";

const { url, skip } = sharedRedis;

test("an impossible argument or option is refused, with the remedy", () => {
  const build =
    (...args: unknown[]) =>
    () =>
      Reflect.construct(RedisStore, args);
  for (const client of [undefined, null, 1, {}, { sendCommand: () => undefined }, new Map()])
    throws(build(client), { name: "TypeError", message: /a URL such as "redis:.*client/ });
  for (const text of ["", "localhost:6379", "http://localhost", "redis://a:b:c"])
    throws(build(text), { name: "TypeError", message: /must look like "redis:/ });
  throws(build("redis://localhost", { prefix: 1 }), { name: "TypeError", message: /prefix/ });
  throws(build("redis://localhost", { prefix: "a{}:" }), { name: "TypeError", message: /prefix/ });
  for (const wait of [
    {},
    { replicas: 0, timeoutMs: 1 },
    { replicas: 1, timeoutMs: 0 },
    { replicas: 1.5, timeoutMs: 1 },
  ])
    throws(build("redis://localhost", { wait }), { name: "TypeError", message: /wait\.(replicas|timeoutMs)/ });
  const cluster = new Cluster(["redis://127.0.0.1:1"], { lazyConnect: true, scaleReads: "slave" });
  throws(build(cluster), { name: "TypeError", message: /scaleReads/ });
  cluster.disconnect();
});

test("a URL's password is in no error, cause or inspection", async () => {
  throws(
    () => new RedisStore("redis//user:swordfish@localhost"),
    (error) => {
      doesNotMatch(inspect(error), /swordfish/);
      return true;
    },
  );
  for (const client of packages) {
    const store = new RedisStore("redis://user:swordfish@127.0.0.1:1/0", { client });
    const error = await store.load("handle").catch((reason: unknown) => reason);
    doesNotMatch(inspect([error, store], { depth: 20, showHidden: true }), /swordfish/);
    await store.close();
  }
});

describe("RedisStore", { skip: skip ?? false }, () => {
  after(() => removeKeys(url));

  test("touches no keys but its own, whatever characters its prefix has", async () => {
    const base = keyPrefix();
    const own = `${base}a*[b]?\\^-{x}'"\u0000\n:`;
    const neighbours = ["aX[b]Y:", "abz:", "a*[b]?", "a*b?:", ""].map((text) => `${base}${text}`);
    for (const neighbour of neighbours) {
      await ask(url, "SET", `${neighbour}handle`, "theirs");
      await ask(url, "SET", `${neighbour}user:ann`, "theirs");
    }
    const before = await keysOf(url, base);
    const clock = new ManualClock();
    const store = new RedisStore(url, { prefix: own, clock });
    const now = clock.now();
    for (const handle of ["a", "b", "c"]) {
      await store.create(handle, record({ userId: "ann", touchedAt: now, expiresAt: now + 60_000 }));
    }
    await store.create("d", record({ touchedAt: now, expiresAt: now + 60_000 }));
    equal((await store.list({})).sessions.length, 4);
    equal(await store.deleteAll({ userId: "ann", except: "a" }), 2);
    clock.advance(60_000);
    equal(await store.prune(), 2);
    equal(await store.deleteAll({}), 0);
    await store.close();
    deepEqual(await keysOf(url, base), before, "and leaves nothing behind");
  });

  test("a user ID never reaches into a store whose prefix begins with this store's", async () => {
    const prefix = keyPrefix();
    const inner = new RedisStore(url, { prefix: `${prefix}user:` });
    const outer = new RedisStore(url, { prefix });
    await inner.create("inner", record({ userId: "ann" }));
    const keys = await keysOf(url, prefix);
    for (const key of keys) {
      await outer.create(`outer of ${key}`, record({ userId: key.slice(`${prefix}user:`.length) }));
    }
    equal(await outer.deleteAll({}), keys.length);
    equal((await inner.list({ userId: "ann" })).sessions.length, 1);
    equal((await inner.list({})).sessions.length, 1);
    await Promise.all([inner.close(), outer.close()]);
  });

  test("leaves nothing behind once everything has ended and was swept", async () => {
    const prefix = keyPrefix();
    const clock = new ManualClock();
    const store = new RedisStore(url, { prefix, clock });
    const now = clock.now();
    const session = record({ userId: "ann", touchedAt: now, expiresAt: now + 60_000 });
    for (const handle of ["logged out", "ended by an update", "ended with all", "expired", "touched"])
      await store.create(handle, session);
    await store.delete("logged out");
    await store.update("ended by an update", { ...session, version: 2, expiresAt: 0 }, 1);
    await store.touch("touched", now + 1, now + 90_000);
    clock.advance(60_000);
    equal(await store.prune(), 2, "expired, and ended with all");
    clock.advance(30_000);
    equal(await store.prune(), 1);
    await store.close();
    deepEqual(await keysOf(url, prefix), []);
  });

  test("a key lives five minutes longer than its session, so that a clock that is behind loses nothing", async () => {
    const prefix = keyPrefix();
    const store = new RedisStore(url, { prefix });
    const session = record();
    const expiryOf = async () =>
      Number(await ask(url, "PEXPIRETIME", (await keysOf(url, prefix)).find((key) => key.endsWith(":handle")) ?? ""));
    await store.create("handle", session);
    ok(Math.abs((await expiryOf()) - session.expiresAt - 300_000) < 30_000);
    await store.touch("handle", session.touchedAt + 1, session.expiresAt + 1_000_000);
    ok(Math.abs((await expiryOf()) - session.expiresAt - 1_300_000) < 30_000);
    await store.update("handle", { ...session, version: 2 }, 1);
    ok(Math.abs((await expiryOf()) - session.expiresAt - 300_000) < 30_000);
    await store.close();
  });

  test("what Redis itself removed is in no list, and the indexes forget it", async () => {
    const prefix = keyPrefix();
    const clock = new ManualClock();
    const store = new RedisStore(url, { prefix, clock });
    const now = clock.now();
    for (const handle of ["lost", "kept"])
      await store.create(handle, record({ userId: "ann", touchedAt: now, expiresAt: now + 3_600_000 }));
    const lost = (await keysOf(url, prefix)).find((key) => key.endsWith(":lost")) ?? "";
    equal(await ask(url, "DEL", lost), 1);
    const handles = async (query: { userId?: string }) =>
      (await store.list(query)).sessions.map(({ handle }) => handle);
    equal(await ask(url, "ZCARD", `${prefix}user:ann`), 2);
    deepEqual(await handles({ userId: "ann" }), ["kept"]);
    equal(await ask(url, "ZCARD", `${prefix}user:ann`), 2, "it may be on its way for a minute");
    clock.advance(60_001);
    deepEqual(await handles({ userId: "ann" }), ["kept"]);
    equal(await ask(url, "ZCARD", `${prefix}user:ann`), 1);
    equal(await store.count(), 2);
    deepEqual(await handles({}), ["kept"]);
    equal(await store.count(), 1);
    await store.close();
  });

  test("indexes forget at once what ends with all of a user's, and at the next login what ended a minute ago", async () => {
    const prefix = keyPrefix();
    const clock = new ManualClock();
    const store = new RedisStore(url, { prefix, clock });
    const now = clock.now();
    const session = record({ userId: "ann", link: "door", touchedAt: now, expiresAt: now + 3_600_000 });
    const sizes = async () => [
      await ask(url, "ZCARD", `${prefix}user:ann`),
      await ask(url, "ZCARD", `${prefix}link:door`),
    ];
    for (const query of [{ userId: "ann" }, { link: "door" }]) {
      for (const handle of ["a", "b"]) await store.create(handle, session);
      deepEqual(await sizes(), [2, 2]);
      equal(await store.deleteAll(query), 2);
      deepEqual(await sizes(), "userId" in query ? [0, 2] : [2, 0]);
    }
    clock.advance(60_001);
    const login = { handle: "c", ...session };
    deepEqual(await store.admit({ session: login, limit: 1, exceed: "refuse" }), { result: "ok", revoked: [] });
    deepEqual(await sizes(), [1, 1]);
    await store.close();
  });

  test("other data under its prefix are an error, and stay as they are", async () => {
    const prefix = keyPrefix();
    const store = new RedisStore(url, { prefix });
    const session = record();
    await store.create("handle", session);
    const key = (await keysOf(url, prefix)).find((name) => name.endsWith(":handle")) ?? "";
    await ask(url, "SET", key, "a text of somebody else's, which is as long as a session's beginning has to be");
    await refuses(store.load("handle"), "STORE_CORRUPT");
    await refuses(store.update("handle", session, 1), "STORE_CORRUPT", "SOJOURNFORMAT");
    await refuses(store.touch("handle", 1, 2), "STORE_CORRUPT");
    await refuses(store.create("handle", session), "STORE_CORRUPT");
    await refuses(store.delete("handle"), "STORE_CORRUPT");
    deepEqual((await store.list({})).sessions, []);
    await ask(url, "DEL", key);
    await ask(url, "LPUSH", key, "a list");
    await refuses(store.load("handle"), "STORE_CORRUPT", "WRONGTYPE");
    await store.close();
  });

  test("lists everyone once, however unevenly sessions are spread", async () => {
    const prefix = keyPrefix();
    const clock = new ManualClock();
    const store = new RedisStore(url, { prefix, clock });
    const now = clock.now();
    const all = Array.from({ length: 400 }, (_, n) => `handle${n}`);
    // Some shards are empty, and one has more than a page holds.
    const few = all.filter((handle) => shardOf(handle) > 64 && shardOf(handle) < 128);
    const crowded = Array.from({ length: 20_000 }, (_, n) => `crowd${n}`).filter((handle) => shardOf(handle) === 70);
    const expected = [...few, ...crowded].toSorted();
    await Promise.all(
      expected.map((handle) => store.create(handle, record({ touchedAt: now, expiresAt: now + 60_000 }))),
    );
    for (const limit of [1_000, expected.length, 50, 33]) {
      const listed: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.list({ limit, ...(cursor !== undefined && { cursor }) });
        listed.push(...page.sessions.map(({ handle }) => handle));
        cursor = page.cursor;
      } while (cursor !== undefined);
      deepEqual(listed.toSorted(), expected);
    }
    await store.close();
  });

  test("other data under its prefix don't hold up the sweep", async () => {
    const prefix = keyPrefix();
    const clock = new ManualClock();
    const store = new RedisStore(url, { prefix, clock });
    const session = record({ userId: "ann", touchedAt: clock.now(), expiresAt: clock.now() + 60_000 });
    for (const handle of ["text", "list", "expired"]) await store.create(handle, session);
    const keys = (await keysOf(url, prefix)).filter((key) => /:(text|list)$/.test(key));
    await ask(url, "DEL", ...keys);
    await ask(url, "LPUSH", keys[0] ?? "", "a list");
    await ask(url, "SET", keys[1] ?? "", "a text");
    clock.advance(60_000);
    equal(await store.prune(), 1);
    equal(await store.count(), 0);
    deepEqual(await keysOf(url, prefix), keys);
    await store.close();
  });

  test("a session under another handle's key is not taken for that handle's", async () => {
    const prefix = keyPrefix();
    const store = new RedisStore(url, { prefix });
    await store.create("mine", record());
    await store.create("theirs", record({ payload: "secret" }));
    const key = async (handle: string) => (await keysOf(url, prefix)).find((name) => name.endsWith(`:${handle}`)) ?? "";
    await ask(url, "COPY", await key("theirs"), await key("mine"), "REPLACE");
    await refuses(store.load("mine"), "STORE_CORRUPT");
    await store.close();
  });

  test("scripts that the server has forgotten are sent again", async () => {
    const proxyless = createClient({ url });
    await proxyless.connect();
    const store = new RedisStore(proxyless, { prefix: keyPrefix() });
    const session = record();
    await store.create("first", session);
    await store.create("second", session);
    await ask(url, "SCRIPT", "FLUSH");
    equal(await store.create("third", session), true);
    equal(await store.create("third", session), false);
    await store.close();
    equal(proxyless.isOpen, true, "a client that was handed over stays open");
    proxyless.destroy();
  });

  test("a pool, and clients that answer in bytes or numbers as text, will do", async () => {
    const pool = createClientPool({ url }, { maximum: 3 });
    await pool.connect();
    const asText = new Redis(url, { stringNumbers: true, keyPrefix: keyPrefix() });
    const inBytes = createClient({ url, RESP: 2, commandOptions: { typeMapping: { 36: Buffer } } });
    await inBytes.connect();
    for (const client of [pool, asText, inBytes]) {
      const store = new RedisStore(client, { prefix: keyPrefix() });
      const session = record({ userId: "ann" });
      equal(await store.create("handle", session), true);
      equal(await store.update("handle", { ...session, version: 2 }, 1), "ok");
      equal(await store.touch("handle", session.touchedAt + 1, session.expiresAt + 1), true);
      const expected = { ...session, version: 2, touchedAt: session.touchedAt + 1, expiresAt: session.expiresAt + 1 };
      deepEqual(await store.load("handle"), expected);
      deepEqual(await store.list({ userId: "ann" }), { sessions: [{ handle: "handle", ...expected }] });
      deepEqual(await store.list({}), { sessions: [{ handle: "handle", ...expected }] });
      equal(await store.deleteAll({ userId: "ann" }), 1);
      await store.close();
    }
    pool.destroy();
    asText.disconnect();
    inBytes.destroy();
  });

  test("a server without replicas can't confirm a write that waits for one", async () => {
    for (const client of packages) {
      const prefix = keyPrefix();
      const careful = new RedisStore(url, { prefix, client, wait: { replicas: 1, timeoutMs: 1 } });
      await refuses(careful.create("handle", record()), "STORE_UNAVAILABLE");
      ok(await careful.load("handle"), "it is there all the same");
      await careful.close();
    }
  });

  test("thousands of writes that wait for replicas share their waits", async () => {
    const proxy = await FaultProxy.start(Number(new URL(url).port || 6379));
    const careful = new RedisStore(`redis://127.0.0.1:${proxy.port}`, {
      prefix: keyPrefix(),
      wait: { replicas: 1, timeoutMs: 20 },
    });
    const session = record();
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, n) => careful.create(`handle${n}`, session)),
    );
    ok(results.every((result) => result.status === "rejected"));
    ok(proxy.roundTrips < 40, `${proxy.roundTrips} round trips`);
    equal(await careful.count(), 200);
    await careful.close();
    await proxy.close();
  });

  test("a session that is gone can be found by nobody: list, count and end agree while sessions come and go", async () => {
    const clock = new ManualClock();
    const prefix = keyPrefix();
    const store = new RedisStore(url, { prefix, clock });
    const other = new RedisStore(url, { prefix, clock, client: "ioredis" });
    const now = clock.now();
    const session = record({ userId: "ann", touchedAt: now, expiresAt: now + 3_600_000 });
    for (let round = 0; round < 10; round++) {
      const handles = Array.from({ length: 10 }, (_, n) => `handle${round}-${n}`);
      await Promise.all([
        ...handles.map((handle) => store.create(handle, session)),
        other.list({ userId: "ann" }),
        other.deleteAll({ userId: "ann" }),
        other.list({}),
        other.prune(),
      ]);
      const alive = (await Promise.all(handles.map((handle) => store.load(handle)))).filter(
        (loaded) => loaded !== undefined,
      );
      equal(await store.count({ userId: "ann" }), alive.length, "no session is missing from its user's index");
      equal(await other.deleteAll({ userId: "ann" }), alive.length);
      equal(await store.count(), 0);
    }
    await store.close();
    await other.close();
  });

  test("close waits for what is under way, and refuses the rest", async () => {
    const store = new RedisStore(url, { prefix: keyPrefix() });
    const created = Promise.all(
      Array.from({ length: 20 }, (_, n) => store.create(`handle${n}`, record({ userId: "ann" }))),
    );
    const closing = store.close();
    await refuses(store.load("handle1"), "STORE_CLOSED");
    await refuses(store.count(), "STORE_CLOSED");
    await closing;
    ok((await created).every(Boolean));
  });

  test("memory for commands without an answer is bounded", async () => {
    const proxy = await FaultProxy.start(Number(new URL(url).port || 6379));
    const clock = new ManualClock();
    const handed = createClient({ url: `redis://127.0.0.1:${proxy.port}` });
    handed.on("error", () => undefined);
    await handed.connect();
    const store = new RedisStore(handed, { prefix: keyPrefix(), clock });
    await store.load("handle");
    proxy.fault = { kind: "drop" };
    const loads = Array.from({ length: 1_000 }, () => store.load("handle").catch((error: unknown) => error));
    clock.advance(2_001);
    await refuses(store.load("handle"), "STORE_UNAVAILABLE");
    handed.destroy();
    for (const outcome of await Promise.all(loads)) match(inspect(outcome), /STORE_UNAVAILABLE/);
    await proxy.close();
    await store.close();
  });

  test("a sign-out ends no session that has another user by the time of its turn", async () => {
    const prefix = keyPrefix();
    const another = new RedisStore(url, { prefix });
    await another.create("handle", record({ userId: "ann" }));
    const bobs = record({ userId: "bob", secretHash: "another hash" });
    const client = createClient({ url });
    await client.connect();
    const send = client.sendCommand.bind(client);
    let isOver = false;
    // Once the sign-out has looked and before it ends what it saw.
    Reflect.set(client, "sendCommand", async (command: string[]) => {
      if (command[0]?.startsWith("EVAL") && !isOver) {
        isOver = true;
        await another.delete("handle");
        await another.create("handle", bobs);
      }
      return send(command);
    });
    const store = new RedisStore(client, { prefix });
    equal(await store.deleteAll({ userId: "ann" }), 0);
    ok(isOver);
    deepEqual(await another.load("handle"), bobs);
    await store.close();
    await another.close();
    client.destroy();
  });

  test("warns of nothing on a server that evicts nothing", async (t) => {
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on("warning", listen);
    t.after(() => process.off("warning", listen));
    const store = new RedisStore(url, { prefix: keyPrefix() });
    await store.load("handle");
    await store.close();
    await eventually("a turn", async () => {});
    deepEqual(warnings, []);
  });
});
