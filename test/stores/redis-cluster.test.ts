import { deepEqual, equal, match, ok } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Cluster } from "ioredis";
import { createCluster } from "redis";
import { systemClock } from "../../src/contract/time.ts";
import { Events } from "../../src/session/events.ts";
import { StoreAccess } from "../../src/session/store-access.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { packages, record, refuses } from "../support/redis-records.ts";
import { eventually } from "../support/servers/private-process.ts";
import { keyPrefix, noPrivateRedis, PrivateRedis, startCluster } from "../support/servers/redis.ts";

const skip = noPrivateRedis;
const nodes = skip === undefined ? await startCluster() : [];
const nodeRedis = createCluster({
  rootNodes: nodes.map(({ url }) => ({ url })),
  defaults: { disableOfflineQueue: true, socket: { reconnectStrategy: () => 50 } },
});
nodeRedis.on("error", () => undefined);
const ioredis = new Cluster(
  nodes.map(({ url }) => url),
  { lazyConnect: true, retryDelayOnClusterDown: 50, clusterRetryStrategy: () => 50 },
);
ioredis.on("error", () => undefined);
if (skip === undefined) await nodeRedis.connect();

after(async () => {
  ioredis.disconnect();
  if (skip === undefined) await nodeRedis.destroy();
  for (const node of nodes) await node.stop();
});

storeConformance({
  name: "RedisStore on Redis Cluster",
  admits: false,
  skip,
  async open(clock) {
    const prefix = keyPrefix();
    return [new RedisStore(nodeRedis, { prefix, clock }), new RedisStore(ioredis, { prefix, clock })];
  },
});

describe("RedisStore on Redis Cluster", { skip: skip ?? false }, () => {
  test("spreads sessions over all nodes", async () => {
    const store = new RedisStore(nodeRedis, { prefix: keyPrefix() });
    const sizes = async () => Promise.all(nodes.map(async (node) => Number(await node.ask("DBSIZE"))));
    const before = await sizes();
    await Promise.all(Array.from({ length: 600 }, (_, n) => store.create(`handle${n}`, record())));
    for (const [i, size] of (await sizes()).entries()) ok(size - (before[i] ?? 0) > 150, `node ${i} has ${size}`);
    equal(await store.deleteAll({}), 600);
  });

  test("finds a session that moved to another node", async () => {
    const prefix = keyPrefix();
    const stores = [new RedisStore(nodeRedis, { prefix }), new RedisStore(ioredis, { prefix })];
    const session = record({ userId: "ann" });
    await stores[0]?.create("moving", session);
    const [key, owner] = await keyOn(prefix, ":moving");
    const target = nodes[(owner + 1) % 3];
    const from = nodes[owner];
    ok(from !== undefined && target !== undefined);
    const slot = String(await from.ask("CLUSTER", "KEYSLOT", key));
    const ids = [String(await from.ask("CLUSTER", "MYID")), String(await target.ask("CLUSTER", "MYID"))];
    await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0] ?? "");
    await from.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1] ?? "");
    const all = await from.ask("CLUSTER", "GETKEYSINSLOT", slot, "100");
    ok(Array.isArray(all));
    await from.ask("MIGRATE", "127.0.0.1", String(target.port), "", "0", "5000", "KEYS", ...all.map(String));
    for (const store of stores) deepEqual(await store.load("moving"), session, "asked for on the way");
    for (const node of [target, from, ...nodes]) await node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1] ?? "");
    for (const store of stores) deepEqual(await store.load("moving"), session);
    equal(await stores[1]?.update("moving", { ...session, version: 2 }, 1), "ok");
    equal(await stores[0]?.deleteAll({ userId: "ann" }), 1);
  });

  test("behind a proxy's address, a session is replaced in two steps, and all else stays as it was", async () => {
    const node = await PrivateRedis.start("--cluster-enabled", "yes");
    try {
      await node.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
      await eventually("the cluster of one", async () => {
        match(String(await node.ask("CLUSTER", "INFO")), /cluster_state:ok/);
      });
      for (const client of packages) {
        const store = new RedisStore(node.url, { client, prefix: `${client}:` });
        const fresh = record({ userId: "ann", secretHash: "fresh" });
        await store.create("handle", record());
        for (let i = 0; i < 2; i++) equal(await store.replace("handle", 1, "fresh", fresh), "unsupported");
        const access = new StoreAccess(store, systemClock, { readMs: 1_000, commitMs: 1_000 }, new Events());
        equal(await access.replace("handle", 1, "fresh", fresh), "ok");
        equal(await store.load("handle"), undefined);
        deepEqual(await store.load("fresh"), fresh);
        equal(await store.deleteAll({ userId: "ann" }), 1);
        await store.close();
      }
    } finally {
      await node.stop();
    }
  });

  test("waits for replicas of the node that has the session", async () => {
    for (const client of [nodeRedis, ioredis]) {
      const prefix = keyPrefix();
      const store = new RedisStore(client, { prefix, wait: { replicas: 1, timeoutMs: 1 } });
      await refuses(store.create("handle", record({ userId: "ann" })), "STORE_UNAVAILABLE");
      // The user's index, on another node, may have been the first to say so.
      await eventually("the write, which the primary has", async () => ok(await store.load("handle")));
      await store.close();
    }
  });

  test("a node that is down takes its own sessions along, and no others", async () => {
    const prefix = keyPrefix();
    for (const client of [nodeRedis, ioredis]) {
      const store = new RedisStore(client, { prefix });
      await Promise.all(Array.from({ length: 30 }, (_, n) => store.create(`handle${n}`, record())));
    }
    const [, owner] = await keyOn(prefix, ":handle0");
    const onOthers = await others(prefix, owner);
    const down = nodes[owner];
    await down?.kill();
    for (const client of [nodeRedis, ioredis]) {
      const store = new RedisStore(client, { prefix });
      const handle = onOthers.find((key) => key.includes("}:handle"))?.split("}:")[1] ?? "";
      await eventually("service from the others", async () => ok(await store.load(handle)));
    }
    const store = new RedisStore(nodeRedis, { prefix });
    await refuses(store.load("handle0"), "STORE_UNAVAILABLE");
    await down?.start();
  });
});

async function keyOn(prefix: string, ending: string): Promise<[key: string, node: number]> {
  for (const [i, node] of nodes.entries()) {
    const keys = await node.ask("KEYS", "*");
    const found = Array.isArray(keys) && keys.map(String).find((key) => key.startsWith(prefix) && key.endsWith(ending));
    if (found) return [found, i];
  }
  throw new Error("nowhere");
}

async function others(prefix: string, than: number): Promise<string[]> {
  const lists = await Promise.all(nodes.filter((_, i) => i !== than).map((node) => node.ask("KEYS", "*")));
  return lists.flatMap((keys) => (Array.isArray(keys) ? keys.map(String) : [])).filter((key) => key.startsWith(prefix));
}
