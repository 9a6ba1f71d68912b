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

/** https://www.npmjs.com/package/@fastify/middie: Express middleware in Fastify. It sees Node's own request, which Fastify has as `raw`. */
async function application(t: Cleanup, sessions: Any, configure: (app: Any) => void): Promise<Any> {
  const app = load("fastify")();
  await app.register(load("@fastify/middie"));
  app.use(sessions);
  configure(app);
  await app.ready();
  t.after(() => app.close());
  return app;
}

async function serve(t: Cleanup, sessions: Any, configure: (app: Any) => void): Promise<Browser> {
  return listen(t, (await application(t, sessions, configure)).server);
}

for (const [kind, open] of Object.entries(kinds)) {
  describe(`Fastify with sessions ${kind}`, () => {
    test("remembers visitors, whichever way a route answers", async (t) => {
      const browser = await serve(t, open(t), (app) => {
        app.get("/return", async (req: Any) => String(countVisits(req.raw.session)));
        app.get("/send", (req: Any, reply: Any) => {
          reply.send(String(countVisits(req.raw.session)));
        });
        app.get("/raw", (req: Any, reply: Any) => {
          reply.hijack();
          reply.raw.end(String(countVisits(req.raw.session)));
        });
        app.get("/later", async (req: Any, reply: Any) => {
          await new Promise((resolve) => setImmediate(resolve));
          return reply.send(String(countVisits(req.raw.session)));
        });
      });
      for (const path of ["/return", "/send", "/raw", "/later"]) await remembersVisitors(browser.stranger(), path);
    });

    test("inject() gets the whole answer", async (t) => {
      const app = await application(t, open(t), (app) =>
        app.get("/", async (req: Any) => String(countVisits(req.raw.session))),
      );
      const first = await app.inject("/");
      assert.deepEqual([first.statusCode, first.payload], [200, "1"]);
      const setCookies = [first.headers["set-cookie"]].flat();
      assert.equal(sessionCookies({ setCookies }).length, 1);
      const cookie = String(setCookies[0]).split(";")[0];
      assert.equal((await app.inject({ url: "/", headers: { cookie } })).payload, "2");
    });

    test("a page of a thousand lines, piped, comes whole", async (t) => {
      const { Readable } = load("node:stream");
      const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index}\n`);
      const browser = await serve(t, open(t), (app) =>
        app.get("/", (req: Any, reply: Any) => {
          countVisits(req.raw.session);
          reply.type("text/plain").send(Readable.from(lines));
        }),
      );
      const answer = await browser.get("/");
      assert.deepEqual([answer.text, sessionCookies(answer).length], [lines.join(""), 1]);
    });
  });
}

for (const [kind, open] of Object.entries(natives)) {
  test(`Fastify: login and logout (${kind})`, async (t) => {
    const browser = await serve(t, open(t), (app) => {
      app.post("/login", async (req: Any) => {
        await req.raw.session.login("ada");
        return "in";
      });
      app.post("/logout", async (req: Any) => {
        await req.raw.session.logout();
        return "out";
      });
      app.get("/", async (req: Any) => String(req.raw.session.userId));
    });
    assert.equal((await browser.ask("/login", { method: "POST" })).text, "in");
    assert.equal((await browser.get("/")).text, "ada");
    assert.equal((await browser.ask("/logout", { method: "POST" })).text, "out");
    assert.equal((await browser.get("/")).text, "null");
  });
}

/**
 * Middie's `next` can be called once: it has gone on to the route by the time that a commit fails. So nobody but Sojourn can answer, and
 * it must: with the error's status, to the visitor whose request it is, and to no other.
 */
describe("Fastify: a commit that fails", () => {
  const value = (req: Any) => {
    req.raw.session.visits = 1n;
    return "saved";
  };
  const routes: Record<string, (app: Any) => void> = {
    "an async route": (app) => app.get("/bad", async (req: Any) => value(req)),
    "a route that sends": (app) => app.get("/bad", (req: Any, reply: Any) => void reply.send(value(req))),
    "a route that ends Node's response": (app) =>
      app.get("/bad", (req: Any, reply: Any) => {
        reply.hijack();
        reply.raw.end(value(req));
      }),
  };
  const all = { ...natives, "as the drop-in": kinds["as the drop-in"] };
  for (const [kind, open] of Object.entries(all)) {
    for (const [name, route] of Object.entries(routes)) {
      test(`of ${name}, for a value that can't be stored, is answered (${kind})`, async (t) => {
        const browser = await serve(t, open?.(t), (app) => {
          route(app);
          app.get("/", async (req: Any) => String(countVisits(req.raw.session)));
        });
        const answer = await browser.get("/bad");
        // The drop-in answers as express-session does: an error of the store does not become the answer's.
        if (kind !== "as the drop-in") assert.deepEqual([answer.status, sessionCookies(answer)], [500, []]);
        // The server lives, and serves the next visitor.
        await remembersVisitors(browser.stranger());
      });
    }
  }

  for (const later of [false, true]) {
    test(`for a store that fails ${later ? "later" : "at once"}, is a 503, and no other request's`, async (t) => {
      const { store, fail } = faulty(new MemoryStore());
      const browser = await serve(t, native(t, later ? distant(store) : store), (app) =>
        app.get("/", async (req: Any) => String(countVisits(req.raw.session))),
      );
      const other = browser.stranger();
      assert.equal((await other.get("/")).text, "1");
      fail("create", { kind: "error" });
      const [bad, good] = await Promise.all([browser.get("/"), other.get("/")]);
      assert.deepEqual([bad.status, bad.setCookies], [503, []]);
      assert.deepEqual([good.status, good.text], [200, "2"]);
      assert.equal((await browser.get("/")).text, "1");
    });

    test(`to load from a store that ${later ? "answers later" : "answers at once"} is Fastify's 503`, async (t) => {
      const { store, fail, heal } = faulty(new MemoryStore());
      const browser = await serve(t, native(t, later ? distant(store) : store), (app) =>
        app.get("/", async (req: Any) => String(countVisits(req.raw.session))),
      );
      await browser.get("/");
      fail("load", { kind: "error" }, Number.POSITIVE_INFINITY);
      assert.equal((await browser.get("/")).status, 503);
      heal();
      assert.equal((await browser.get("/")).text, "2");
    });
  }
});
