import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Any,
  type Browser,
  type Cleanup,
  countVisits,
  distant,
  kinds,
  listen,
  load,
  native,
  natives,
  remembersVisitors,
  sessionCookies,
} from "./world.ts";

const { MemoryStore } = load("sojourn");
const { faulty } = load("sojourn/testing");

/** https://www.npmjs.com/package/koa-connect: Connect middleware in Koa. */
async function serve(t: Cleanup, sessions: Any, handle: (ctx: Any) => unknown): Promise<Browser> {
  const Koa = load("koa");
  const app = new (Koa.default ?? Koa)();
  app.silent = true;
  app.use(load("koa-connect")(sessions));
  app.use(handle);
  return listen(t, app.callback());
}

for (const [kind, open] of Object.entries(kinds)) {
  test(`Koa remembers visitors (${kind})`, async (t) => {
    const browser = await serve(t, open(t), (ctx) => {
      ctx.body = String(countVisits(ctx.req.session));
    });
    const first = await browser.stranger().get("/");
    assert.deepEqual([first.status, first.text, sessionCookies(first).length], [200, "1", 1]);
    await remembersVisitors(browser);
  });

  test(`Koa sends JSON, a stream, a redirect and nothing (${kind})`, async (t) => {
    const { Readable } = load("node:stream");
    const browser = await serve(t, open(t), (ctx) => {
      const visits = countVisits(ctx.req.session);
      if (ctx.path === "/json") ctx.body = { visits };
      else if (ctx.path === "/stream") ctx.body = Readable.from(["visit ", String(visits)]);
      else if (ctx.path === "/redirect") ctx.redirect("/json");
      else ctx.status = 204;
    });
    assert.equal((await browser.get("/json")).text, '{"visits":1}');
    assert.equal((await browser.get("/stream")).text, "visit 2");
    assert.equal((await browser.get("/redirect")).headers.location, "/json");
    assert.equal((await browser.get("/nothing")).status, 204);
    assert.equal((await browser.get("/json")).text, '{"visits":5}');
  });
}

for (const [kind, open] of Object.entries(natives)) {
  test(`Koa: login and logout (${kind})`, async (t) => {
    const browser = await serve(t, open(t), async (ctx) => {
      const { session } = ctx.req;
      if (ctx.path === "/login") await session.login("ada");
      if (ctx.path === "/logout") await session.logout();
      ctx.body = String(ctx.req.session.userId);
    });
    const users: string[] = [];
    for (const path of ["/", "/login", "/", "/logout", "/"]) users.push((await browser.get(path)).text);
    assert.deepEqual(users, ["null", "ada", "ada", "null", "null"]);
  });
}

/** koa-connect's `next` settles a promise, which is settled by the time that a commit fails: nobody but Sojourn can answer. */
describe("Koa: a commit that fails", () => {
  for (const [kind, open] of Object.entries(natives)) {
    test(`for a value that can't be stored is answered (${kind})`, async (t) => {
      const browser = await serve(t, open(t), (ctx) => {
        if (ctx.path === "/bad") ctx.req.session.visits = 1n;
        else countVisits(ctx.req.session);
        ctx.body = String(ctx.req.session.visits);
      });
      const answer = await browser.get("/bad");
      assert.deepEqual([answer.status, answer.setCookies], [500, []]);
      await remembersVisitors(browser);
    });
  }

  for (const later of [false, true]) {
    test(`for a store that fails ${later ? "later" : "at once"}, is a 503, and no other request's`, async (t) => {
      const { store, fail } = faulty(new MemoryStore());
      const browser = await serve(t, native(t, later ? distant(store) : store), (ctx) => {
        ctx.body = String(countVisits(ctx.req.session));
      });
      const other = browser.stranger();
      assert.equal((await other.get("/")).text, "1");
      fail("create", { kind: "error" });
      const [bad, good] = await Promise.all([browser.get("/"), other.get("/")]);
      assert.deepEqual([bad.status, bad.setCookies], [503, []]);
      assert.deepEqual([good.status, good.text], [200, "2"]);
      assert.equal((await browser.get("/")).text, "1");
    });
  }
});
