import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryStore } from "../../src/index.ts";
import { faulty, gated } from "../../src/testing/index.ts";
import { asynchronous } from "../support/asynchronous.ts";
import { Client, tokenOf } from "../support/client.ts";
import { PATIENT, startSite } from "../support/express-site.ts";
import { exchange } from "./raw.ts";
import { rest } from "./steps.ts";
import { workload } from "./workload.ts";

/** Requests that come at the same time share the store's answers, but never one that is older than what their client has seen. */

test("a client that has seen its change sees it again, though another request's load is still on its way", async (t) => {
  const { store, hold } = gated(new MemoryStore(), { synchronousLoad: false });
  const site = await startSite(t, { store, storeTimeout: PATIENT }, workload);
  const token = tokenOf(await site.send("/begin", { method: "POST" }));

  const update = hold("update", "before");
  const change = site.send("/set?name=mine", { method: "POST", token });
  await update.reached;
  const load = hold("load", "after");
  const early = site.send("/look", { token });
  await load.reached;
  update.release();
  assert.equal((await change).status, 200);

  const begun = site.begins("late");
  const late = site.send("/look", { token, as: "late" });
  await begun;
  await rest();
  load.release();
  assert.equal((await early).json()["mine"], undefined);
  assert.equal((await late).json()["mine"], true);
});

test("three hundred requests with one cookie that find a load under way cost one more", async (t) => {
  const { store: counted, calls } = faulty(new MemoryStore(), { synchronousLoad: false });
  const { store, hold } = gated(counted);
  const site = await startSite(t, { store, storeTimeout: PATIENT }, workload);
  const token = tokenOf(await site.send("/begin", { method: "POST" }));
  const first = hold("load", "before");
  const replies = [site.send("/look", { token })];
  await first.reached;
  const callers = Array.from({ length: 300 }, (_, i) => `caller ${i}`);
  const begun = Promise.all(callers.map((as) => site.begins(as)));
  replies.push(...callers.map((as) => site.send("/look", { token, as })));
  await begun;
  await rest();
  first.release();
  for (const reply of await Promise.all(replies)) assert.equal(reply.status, 200);
  assert.equal(calls.filter((call) => call === "load").length, 2);
});

test("a browser that follows a redirect at its first byte finds the new state, 200 times in a row", async (t) => {
  const site = await startSite(t, { store: asynchronous(new MemoryStore()), storeTimeout: PATIENT }, (app) => {
    workload(app);
    app.post("/order", (req, res) => {
      Object.assign(req.session, { order: req.query["number"] });
      res.redirect(303, "/look");
    });
  });
  const other = new Client(site.port);
  t.after(() => other.close());
  const token = tokenOf(await site.send("/begin", { method: "POST" }));
  for (let number = 1; number <= 200; number += 1) {
    const followed = Promise.withResolvers<unknown>();
    const lines = [`POST /order?number=${number} HTTP/1.1`, "Content-Length: 0", `Cookie: sid=${token}`];
    const raw = exchange(site.port, lines, () => {
      other.send("/look", { token }).then((reply) => followed.resolve(reply.json()["order"]), followed.reject);
    });
    assert.equal(await followed.promise, String(number));
    assert.match(await raw.ended, /^HTTP\/1\.1 303 /);
  }
});
