import assert from "node:assert/strict";
import { test } from "node:test";
import { browse } from "../browser.mjs";
import { app } from "./app.mjs";

test("a user logs in and out by Passport", async (t) => {
  const browser = await browse(app);
  t.after(() => browser.close());
  assert.equal((await browser.get("/")).text, "nobody");
  assert.equal((await browser.post("/login/password", { username: "bob", password: "no" })).location, "/login");
  assert.equal((await browser.post("/login/password", { username: "bob", password: "builder" })).location, "/");
  assert.equal((await browser.get("/")).text, "bob");
  await browser.post("/logout");
  assert.equal((await browser.get("/")).text, "nobody");
});
