import { createRequire } from "node:module";
import { test, after } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { RedisStore } from "./src/stores/redis.ts";
import { storeConformance } from "./src/testing/index.ts";
import { keyPrefix, removeKeys, sharedRedis } from "./test/servers/redis.ts";
const require = createRequire("/tmp/peers-redis-old/");
const { url } = sharedRedis;
const prefixes: string[] = []; const np = () => { const p = keyPrefix(); prefixes.push(p); return p; };
const r4 = require("redis4").createClient({ url }); await r4.connect();
const r5 = require("redis5").createClient({ url }); await r5.connect();
const r58 = require("redis58").createClient({ url }); await r58.connect();
const i5 = new (require("ioredis5"))(url), i50 = new (require("ioredis50"))(url);
after(async () => { await r4.disconnect(); r5.destroy(); r58.destroy(); i5.disconnect(); i50.disconnect(); await removeKeys(url, ...prefixes); });
for (const [name, a, b] of [["redis 4 and ioredis 5", r4, i5], ["redis 5 and ioredis 5.0", r5, i50]] as const)
  storeConformance({ name, async open(clock) { const prefix = np(); return [new RedisStore(a, { prefix, clock }), new RedisStore(b, { prefix, clock })]; } });
for (const [name, client] of [["r4", r4], ["r5", r5], ["r58", r58], ["i5", i5], ["i50", i50]] as const)
  for (const options of [{ cache: true }, { wait: { replicas: 1, timeoutMs: 1 } }])
    test(name + JSON.stringify(options), async () => {
      const prefix = np();
      const store = new RedisStore(client, { prefix, ...options }), other = new RedisStore(r5, { prefix });
      const now = Date.now(), record = { payload: "x", version: 1, secretHash: "s", userId: "u", createdAt: now, touchedAt: now, expiresAt: now + 60000 };
      console.log(name, JSON.stringify(options), await store.create("h", record).catch((e) => e.message));
      for (let i = 0; i < 50; i++) { await store.load("h"); await new Promise((r) => setTimeout(r, 2)); }
      await other.update("h", { ...record, version: 2 }, 1);
      await new Promise((r) => setTimeout(r, 100));
      equal((await store.load("h"))?.version, 2);
      await store.close(); await other.close();
    });
