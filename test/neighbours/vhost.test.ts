import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Any, countVisits, kinds, listen, load, sessionCookies } from "./world.ts";

/** https://www.npmjs.com/package/vhost: whole applications below another one, by host; and the same by hand. */
const ways: Record<string, (inner: Any) => Any> = {
  "vhost(name, application)": (inner) => load("vhost")("shop.example", inner),
  "vhost(pattern, application)": (inner) => load("vhost")("*.example", inner),
  "application(req, res, next)": (inner) => (req: Any, res: Any, next: Any) => inner(req, res, next),
  "application(req, res)": (inner) => (req: Any, res: Any, next: Any) =>
    req.headers.host === "shop.example" ? inner(req, res) : next(),
  "application.handle(req, res, next)": (inner) => (req: Any, res: Any, next: Any) => inner.handle(req, res, next),
  "use(application)": (inner) => inner,
};
const host = { host: "shop.example" };

for (const [kind, open] of Object.entries(kinds)) {
  describe(`sessions ${kind}, an application below by`, () => {
    for (const [name, below] of Object.entries(ways)) {
      test(`${name}: it has the session, and so have the routes after it`, async (t) => {
        const inner = load("express")();
        inner.get("/count", (req: Any, res: Any) =>
          res.send(`inner ${countVisits(req.session)} ${typeof req.sessionID}`),
        );
        const outer = load("express")();
        outer.use(open(t));
        outer.use(below(inner));
        outer.get("/outer", (req: Any, res: Any) => res.send(`outer ${countVisits(req.session)}`));
        const browser = await listen(t, outer);
        assert.equal((await browser.get("/count", host)).text, "inner 1 string");
        assert.equal((await browser.get("/count", host)).text, "inner 2 string");
        if (name.endsWith("(req, res)")) return; // without next nothing comes back
        assert.equal((await browser.get("/outer", host)).text, "outer 3");
      });
    }

    test("vhost, the application's own session() of the same making: one session, one cookie", async (t) => {
      const sessions = open(t);
      const inner = load("express")();
      inner.use(sessions);
      inner.get("/count", (req: Any, res: Any) => res.send(String(countVisits(req.session))));
      const outer = load("express")();
      outer.use(sessions);
      outer.use(load("vhost")("shop.example", inner));
      const browser = await listen(t, outer);
      const first = await browser.get("/count", host);
      assert.deepEqual([first.text, sessionCookies(first).length], ["1", 1]);
      assert.equal((await browser.get("/count", host)).text, "2");
    });

    test("vhost above the sessions of each application: two sites, two sessions", async (t) => {
      const outer = load("express")();
      for (const name of ["shop.example", "blog.example"]) {
        const inner = load("express")();
        inner.use(open(t));
        inner.get("/count", (req: Any, res: Any) => res.send(`${name} ${countVisits(req.session)}`));
        outer.use(load("vhost")(name, inner));
      }
      const shop = await listen(t, outer);
      const blog = shop.stranger();
      assert.equal((await shop.get("/count", host)).text, "shop.example 1");
      assert.equal((await blog.get("/count", { host: "blog.example" })).text, "blog.example 1");
      assert.equal((await shop.get("/count", host)).text, "shop.example 2");
    });
  });
}
