import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Any, countVisits, express, kinds, load, natives } from "./world.ts";

/** https://www.npmjs.com/package/supertest: an application's own tests, with an agent that keeps cookies, and with made-up sessions. */
const supertest = load("supertest");

for (const [kind, open] of Object.entries(kinds)) {
  test(`an agent is one visitor, a plain request another (${kind})`, async (t) => {
    const app = express(open(t), (app) =>
      app.get("/", (req: Any, res: Any) => res.json({ visits: countVisits(req.session) })),
    );
    const agent = supertest.agent(app);
    await agent.get("/").expect(200, { visits: 1 });
    await agent.get("/").expect(200, { visits: 2 });
    await supertest(app).get("/").expect(200, { visits: 1 });
    const { headers } = await supertest(app).get("/").expect(200);
    await supertest(app).get("/").set("Cookie", headers["set-cookie"]).expect({ visits: 2 });
  });
}

for (const [kind, open] of Object.entries(natives)) {
  describe(`tests that make a session up (${kind})`, () => {
    const secured = (app: Any) => {
      app.get("/me", (req: Any, res: Any) => (req.session.user ? res.json(req.session.user) : res.sendStatus(401)));
      app.get("/set", (req: Any, res: Any) => {
        req.session.views = 1;
        res.json(req.session);
      });
    };

    test("before the middleware: it is left alone", async (t) => {
      const app = load("express")();
      app.use((req: Any, _res: Any, next: Any) => {
        req.session = { user: { name: "ada" } };
        next();
      });
      app.use(open(t));
      secured(app);
      const { body, headers } = await supertest(app).get("/me").expect(200);
      assert.deepEqual(body, { name: "ada" });
      assert.equal(headers["set-cookie"], undefined);
      await supertest(app)
        .get("/set")
        .expect(200, { user: { name: "ada" }, views: 1 });
    });

    test("after the middleware: it becomes the session's data", async (t) => {
      const sessions = open(t);
      const app = load("express")();
      app.use(sessions);
      app.use((req: Any, _res: Any, next: Any) => {
        if (req.headers["x-user"]) req.session = { user: { name: req.headers["x-user"] } };
        next();
      });
      secured(app);
      const agent = supertest.agent(app);
      await agent.get("/me").set("X-User", "ada").expect(200, { name: "ada" });
      // It was saved, as any change is.
      await agent.get("/me").expect(200, { name: "ada" });
      await agent.get("/me").set("X-User", "eve").expect(200, { name: "eve" });
      await agent.get("/me").expect(200, { name: "eve" });
      await supertest(app).get("/me").expect(401);
    });

    test("req.session = req.session || {} changes nothing", async (t) => {
      const app = express(open(t), (app) => {
        app.use((req: Any, _res: Any, next: Any) => {
          req.session = req.session || {};
          next();
        });
        app.get("/", (req: Any, res: Any) => res.json({ visits: countVisits(req.session) }));
      });
      const agent = supertest.agent(app);
      await agent.get("/").expect(200, { visits: 1 });
      await agent.get("/").expect(200, { visits: 2 });
    });

    test("req.session = null ends it, as in cookie-session", async (t) => {
      const app = express(open(t), (app) => {
        app.get("/", (req: Any, res: Any) => res.json({ visits: countVisits(req.session) }));
        app.get("/logout", (req: Any, res: Any) => {
          req.session = null;
          res.json({});
        });
      });
      const agent = supertest.agent(app);
      await agent.get("/").expect(200, { visits: 1 });
      const { headers } = await agent.get("/logout").expect(200);
      assert.match(String(headers["set-cookie"]), /Max-Age=0|Expires=Thu, 01 Jan 1970/);
      await agent.get("/").expect(200, { visits: 1 });
    });
  });
}
