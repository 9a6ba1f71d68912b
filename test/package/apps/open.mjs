// One setting opens any store, and loads that one alone; where a database's client is missing, it says what to install.
import assert from "node:assert/strict";
import { openStore, session } from "sojourn";
import { visit } from "./visit.cjs";

await visit({ session }, await openStore("memory:"));
assert.ok(!process.moduleLoadList.includes("NativeModule sqlite"), "memory: loads node:sqlite");
for (const [url, remedy] of [
  ["redis://localhost", "npm install redis"],
  ["rediss://localhost", "npm install redis"],
  ["postgres://localhost/app", "npm install pg"],
  ["mysql://localhost/app", "npm install mysql2"],
])
  await assert.rejects(openStore(url), (error) => error.code === "STORE_UNAVAILABLE" && error.message.endsWith(remedy));
await assert.rejects(openStore("redis://localhost", { redis: { client: "ioredis" } }), /npm install ioredis$/);
