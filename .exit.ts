import { RedisStore } from "./src/stores/redis.ts";
import { PrivateRedis } from "./test/servers/redis.ts";
import { FaultProxy } from "./test/servers/proxy.ts";
const [client, how] = process.argv.slice(2) as ["redis" | "ioredis", string];
const redis = await PrivateRedis.start();
const proxy = await FaultProxy.start(redis.port);
const store = new RedisStore(`redis://127.0.0.1:${proxy.port}`, { client, ...(how.includes("cache") && { cache: true }), ...(how.includes("wait") && { wait: { replicas: 1, timeoutMs: 10 } }) });
await store.load("x");
if (how.includes("wait")) await store.delete("x").catch(() => 0);
if (how.includes("down")) { await proxy.close(); for (let i = 0; i < 10; i++) { await store.load("x").catch(() => 0); await new Promise((r) => setTimeout(r, 50)); } }
if (how.includes("drop")) { proxy.fault = { kind: "drop" }; store.load("x").catch(() => 0); await new Promise((r) => setTimeout(r, 50)); }
await store.close(); 
if (!how.includes("down")) await proxy.close();
await redis.stop();
const t = performance.now();
process.on("exit", () => console.log(client, how, "exit after", Math.round(performance.now() - t)));
if (how.includes("show")) console.log(process.getActiveResourcesInfo());
