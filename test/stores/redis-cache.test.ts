import { deepEqual, equal, notEqual, ok, throws } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Redis } from "ioredis";
import { createClient, createClientPool, createCluster } from "redis";
import { RedisStore } from "../../src/stores/redis.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { packages, record } from "../faults/redis-records.ts";
import { eventually } from "../servers/private-process.ts";
import { FaultProxy } from "../servers/proxy.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../servers/redis.ts";

const { url, skip } = sharedRedis;
after(async () => {
  if (skip === undefined) await removeKeys(url);
});

test("a cache is refused where it could not be told of changes, or makes no sense", () => {
  const pool = createClientPool({ url: "redis://127.0.0.1:1" });
  const cluster = createCluster({ rootNodes: [{ url: "redis://127.0.0.1:1" }] });
  const prefixed = new Redis({ lazyConnect: true, keyPrefix: "x:" });
  for (const client of [pool, cluster])
    throws(() => new RedisStore(client, { cache: true }), { name: "TypeError", message: /cache needs/ });
  throws(() => new RedisStore(prefixed, { cache: true }), { name: "TypeError", message: /keyPrefix/ });
  for (const cache of [{ maxEntries: 0 }, { maxAgeMs: -1 }, { maxAgeMs: 0.5 }])
    throws(() => new RedisStore("redis://localhost", { cache }), { name: "TypeError", message: /cache\.max/ });
});

/** Through a proxy that counts, with a store beside it that changes things behind its back. */
async function scene(client: "redis" | "ioredis", maxAgeMs = 60_000) {
  const proxy = await FaultProxy.start(Number(new URL(url).port || 6379));
  const prefix = keyPrefix();
  const clock = new ManualClock();
  const store = new RedisStore(`redis://127.0.0.1:${proxy.port}`, {
    client,
    prefix,
    clock,
    cache: { maxAgeMs, maxEntries: 3 },
  });
  const other = new RedisStore(url, { prefix, clock });
  const now = clock.now();
  const session = record({ createdAt: now, touchedAt: now, expiresAt: now + 600_000 });
  /** Whether this load was answered without the server. */
  const isFree = async (handle: string) => {
    const trips = proxy.roundTrips;
    await store.load(handle);
    return proxy.roundTrips === trips;
  };
  /** The connection on which changes are told is there. */
  const listening = () =>
    eventually("the cache", async () => {
      await store.load("warm");
      ok(await isFree("warm"));
    });
  await other.create("warm", session);
  await listening();
  return {
    proxy,
    store,
    other,
    session,
    clock,
    isFree,
    listening,
    async close() {
      await store.close();
      await other.close();
      await proxy.close();
    },
  };
}

describe("sessions cached while the server tells of changes", { skip: skip ?? false }, () => {
  for (const client of packages) {
    test(`a session is read once, until anybody changes it (${client})`, async () => {
      const { store, other, session, isFree, close } = await scene(client);
      await store.create("handle", session);
      equal(await isFree("handle"), false);
      equal(await isFree("handle"), true);
      await other.update("handle", { ...session, version: 2 }, 1);
      await eventually("the news", async () => equal((await store.load("handle"))?.version, 2));
      await other.touch("handle", session.touchedAt + 1, session.expiresAt + 1);
      await eventually("the news", async () => equal((await store.load("handle"))?.expiresAt, session.expiresAt + 1));
      await other.delete("handle");
      await eventually("the news", async () => equal(await store.load("handle"), undefined));
      await close();
    });

    test(`what the store itself was asked to change it never reads as it was (${client})`, async () => {
      const { store, session, close } = await scene(client);
      for (let round = 1; round <= 30; round++) {
        await store.create("handle", session);
        await store.load("handle");
        const [, updated] = await Promise.all([
          store.load("handle"),
          store.update("handle", { ...session, version: 2 }, 1),
        ]);
        equal(updated, "ok");
        equal((await store.load("handle"))?.version, 2);
        await store.touch("handle", session.touchedAt + round, session.expiresAt);
        equal((await store.load("handle"))?.touchedAt, session.touchedAt + round);
        await Promise.all([store.load("handle"), round % 2 === 0 ? store.delete("handle") : store.deleteAll({})]);
        equal(await store.load("handle"), undefined);
      }
      await close();
    });

    test(`a lost connection empties it, and it begins anew (${client})`, async () => {
      const { proxy, store, other, session, isFree, listening, close } = await scene(client);
      await store.create("handle", session);
      await store.load("handle");
      equal(await isFree("handle"), true);
      proxy.resetAll();
      await eventually("the loss", async () => equal(await isFree("handle").catch(() => false), false));
      await other.update("handle", { ...session, version: 2 }, 1);
      await eventually("the news", async () => equal((await store.load("handle"))?.version, 2));
      await listening();
      await close();
    });

    test(`a connection that has died in silence is believed for a moment only (${client})`, async () => {
      const { proxy, store, other, session, clock, close } = await scene(client, 1_000);
      await store.create("handle", session);
      await store.load("handle");
      proxy.fault = { kind: "drop" };
      await other.delete("handle");
      clock.advance(1_000);
      deepEqual(await store.load("handle"), session, "this is what the option says");
      clock.advance(1);
      const asked = store.load("handle").catch(() => undefined);
      clock.advance(3_000);
      proxy.fault = { kind: "pass" };
      equal(await asked.then(() => store.load("handle")), undefined);
      await close();
    });

    test(`holds no more than it may, expired sessions never, and gives out copies (${client})`, async () => {
      const { store, session, clock, isFree, close } = await scene(client);
      for (let n = 0; n < 5; n++) {
        await store.create(`handle${n}`, { ...session, expiresAt: session.createdAt + 1_000 });
        await store.load(`handle${n}`);
      }
      equal(await isFree("handle0"), false);
      equal(await isFree("handle4"), true);
      const first = await store.load("handle4");
      ok(first !== undefined);
      first.payload = "changed";
      notEqual((await store.load("handle4"))?.payload, "changed");
      clock.advance(1_000);
      equal(await store.load("handle4"), undefined);
      await close();
    });
  }

  const handedOver = createClient({ url });
  const ioredis = new Redis(url, { lazyConnect: true });
  after(() => {
    handedOver.destroy();
    ioredis.disconnect();
  });

  test("clients of the application's are listened beside, and left alone", async () => {
    await handedOver.connect();
    for (const client of [handedOver, ioredis]) {
      const prefix = keyPrefix();
      const store = new RedisStore(client, { prefix, cache: { maxAgeMs: 600_000 } });
      const other = new RedisStore(url, { prefix });
      const session = record();
      await store.create("handle", session);
      for (let version = 2; version < 6; version++) {
        await store.load("handle");
        equal(await other.update("handle", { ...session, version }, version - 1), "ok");
        await eventually("the news", async () => equal((await store.load("handle"))?.version, version));
      }
      await store.close();
      await other.close();
    }
    equal(await handedOver.ping(), "PONG");
    equal(await ioredis.ping(), "PONG");
  });
});
