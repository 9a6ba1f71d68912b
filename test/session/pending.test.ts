import { equal } from "node:assert/strict";
import { test } from "node:test";
import { engine, type TestRequest } from "../support/contexts.ts";

/** Logins that are not stored yet are remembered; the rest must be forgotten, or memory grows with each login. */

test("a login is remembered until its response is committed", async () => {
  const { backend, request } = engine();
  const one = await request();
  await one.session.login("ann");
  equal(backend.parts.pending.length, 1);
  await one.end();
  equal(backend.parts.pending.length, 0);
});

test("what a request without a login stores forgets no login of another request", async () => {
  const { backend, request } = engine();
  const one = await request();
  await one.session.login("ann");
  const other = await request();
  Object.assign(other.session, { n: 1 });
  await other.end();
  equal(backend.parts.pending.length, 1);
});

for (const [how, finish] of [
  ["save() stores", (one: TestRequest) => one.session.save()],
  ["an error handler's response drops", (one: TestRequest) => one.context.giveUp()],
] as const) {
  test(`a login that ${how} is forgotten before the response leaves`, async () => {
    const { backend, request } = engine();
    const one = await request();
    await one.session.login("ann");
    await finish(one);
    equal(backend.parts.pending.length, 0);
  });
}

test("logins of requests that were abandoned are forgotten after 64 of them; those under way stay", async () => {
  const { admin, backend, request } = engine();
  for (let n = 0; n < 1_000; n++) {
    const one = await request();
    await one.session.login("ann");
    Object.assign(one.context.request, { isOver: true });
  }
  equal(backend.parts.pending.length <= 64, true);
  const last = await request();
  await last.session.login("bob");
  for (let n = 0; n < 200; n++) {
    const one = await request();
    await one.session.login("ann");
    Object.assign(one.context.request, { isOver: true });
  }
  equal((await admin.list("bob")).length, 1);
});
