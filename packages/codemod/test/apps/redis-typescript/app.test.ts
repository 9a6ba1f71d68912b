import assert from "node:assert/strict";
import { test } from "node:test";
// @ts-expect-error: a helper without types
import { browse } from "../browser.mjs";
import { app, redisClient } from "./app.ts";

test("a user is kept in Redis", async (t) => {
  await redisClient.connect();
  t.after(async () => {
    for await (const keys of redisClient.scanIterator({ MATCH: "codemod-test:*" }))
      if (keys.length > 0) await redisClient.del(keys);
    redisClient.destroy();
  });
  const browser = await browse(app);
  t.after(() => browser.close());
  assert.equal((await browser.get("/me")).status, 401);
  assert.equal((await browser.post("/login", { id: "12" })).location, "/me");
  assert.equal((await browser.get("/me")).text, "12 since 1");
  await browser.post("/logout");
  assert.equal((await browser.get("/me")).status, 401);
});
