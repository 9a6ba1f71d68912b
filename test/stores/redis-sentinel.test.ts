import { deepEqual, equal, notEqual } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Redis } from "ioredis";
import { createSentinel } from "redis";
import { RedisStore } from "../../src/stores/redis.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { record } from "../support/redis-records.ts";
import { eventually } from "../support/servers/private-process.ts";
import { keyPrefix, noPrivateRedis, PrivateRedis, startReplica } from "../support/servers/redis.ts";

const skip = noPrivateRedis;
const servers: PrivateRedis[] = [];
if (skip === undefined) {
  servers.push(await PrivateRedis.start());
  servers.push(await startReplica(servers[0]?.port ?? 0));
  servers.push(await PrivateRedis.sentinel(servers[0]?.port ?? 0));
}
const [primary, replica, sentinel] = servers;
const sentinels = [{ host: "127.0.0.1", port: sentinel?.port ?? 0 }];
const nodeRedis = createSentinel({ name: "main", sentinelRootNodes: sentinels, masterPoolSize: 2 });
nodeRedis.on("error", () => undefined);
const ioredis = new Redis({ sentinels, name: "main", lazyConnect: true, sentinelRetryStrategy: () => 50 });
ioredis.on("error", () => undefined);
if (skip === undefined) await nodeRedis.connect();

after(async () => {
  ioredis.disconnect();
  if (skip === undefined) await nodeRedis.destroy();
  for (const server of servers) await server.stop();
});

storeConformance({
  name: "RedisStore on Redis Sentinel",
  skip,
  async open(clock) {
    const prefix = keyPrefix();
    return [new RedisStore(nodeRedis, { prefix, clock }), new RedisStore(ioredis, { prefix, clock })];
  },
});

describe("RedisStore on Redis Sentinel", { skip: skip ?? false }, () => {
  test("what replicas have confirmed is there after a failover, and the store goes on with the new primary", async () => {
    const prefix = keyPrefix();
    const wait = { replicas: 1, timeoutMs: 5_000 };
    const stores = [new RedisStore(nodeRedis, { prefix, wait }), new RedisStore(ioredis, { prefix, wait })];
    const session = record({ userId: "ann" });
    for (const [i, store] of stores.entries()) {
      equal(await store.create(`kept${i}`, session), true);
      equal(await store.create(`ended${i}`, session), true);
      equal(await store.delete(`ended${i}`), true);
    }
    await primary?.kill();
    await eventually("the promotion", async () => notEqual(String(await replica?.ask("ROLE")).indexOf("master"), -1));
    for (const client of [nodeRedis, ioredis]) {
      const store = new RedisStore(client, { prefix });
      for (const i of [0, 1]) {
        await eventually("the new primary", async () => deepEqual(await store.load(`kept${i}`), session));
        equal(await store.load(`ended${i}`), undefined);
      }
      await eventually("a write", async () => equal(await store.create(`later${client === ioredis}`, session), true));
    }
    for (const store of stores) await store.close();
  });
});
