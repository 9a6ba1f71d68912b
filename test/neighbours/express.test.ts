import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Any,
  countVisits,
  distant,
  listen,
  load,
  native,
  natives,
  remembersVisitors,
  sessionCookies,
} from "./world.ts";

const { MemoryStore } = load("sojourn");
const { faulty } = load("sojourn/testing");

/** Error handlers as applications write them: each of them has to get its answer to the visitor when a commit fails. */
type ErrorHandler = (error: Any, req: Any, res: Any, next: Any) => unknown;
const later = () => new Promise((resolve) => setImmediate(resolve));

const handlers: Record<string, ErrorHandler> = {
  "res.status().send()": (error, _req, res, _next) => res.status(error.status ?? 500).send("sorry"),
  "res.status().json()": (error, _req, res, _next) => res.status(error.status ?? 500).json({ error: "sorry" }),
  "a bare res.end()": (_error, _req, res, _next) => res.end("sorry"),
  "a bare res.end(), later": async (_error, _req, res, _next) => {
    await later();
    res.end("sorry");
  },
  "res.write() and res.end(), later": async (_error, _req, res, _next) => {
    await later();
    res.write("sor");
    await later();
    res.end("ry");
  },
  "a status, and res.end() later": async (error, _req, res, _next) => {
    res.statusCode = error.status ?? 500;
    await later();
    res.end("sorry");
  },
  "a status later, and res.end()": async (error, _req, res, _next) => {
    await later();
    res.statusCode = error.status ?? 500;
    res.end("sorry");
  },
  "writeHead and end, later": async (error, _req, res, _next) => {
    await later();
    res.writeHead(error.status ?? 500, { "content-type": "text/plain" });
    res.end("sorry");
  },
  "res.redirect(), later": async (_error, _req, res, _next) => {
    await later();
    res.redirect("/sorry");
  },
  "a piped file, later": async (_error, _req, res, _next) => {
    await later();
    load("node:stream").Readable.from(["sor", "ry"]).pipe(res);
  },
  "a page that reads the session": (error, req, res, _next) =>
    res.status(error.status ?? 500).send(`sorry, ${req.session.user ?? "stranger"}`),
  "Express's own": (error, _req, _res, next) => next(error),
};

const failures: Record<
  string,
  { open: (t: Any) => { sessions: Any; fail: () => void }; value: unknown; status: number }
> = {
  "a value that can't be stored": {
    open: (t) => ({ sessions: natives["on SQLite"]?.(t), fail: () => {} }),
    value: 1n,
    status: 500,
  },
  "a store that says at once that it is down": { open: (t) => failing(t, (store) => store), value: 1, status: 503 },
  "a store that says later that it is down": { open: (t) => failing(t, distant), value: 1, status: 503 },
};

function failing(t: Any, as: (store: Any) => Any): { sessions: Any; fail: () => void } {
  const { store, fail } = faulty(new MemoryStore());
  return { sessions: native(t, as(store)), fail: () => fail("create", { kind: "error" }) };
}

for (const [version, name] of Object.entries({ "Express 5": "express", "Express 4": "express4" })) {
  for (const [failure, { open, value, status }] of Object.entries(failures)) {
    describe(`${version}, a commit that fails for ${failure}, is answered by`, () => {
      for (const [how, handler] of Object.entries(handlers)) {
        test(how, async (t) => {
          const { sessions, fail } = open(t);
          const app = load(name)();
          app.set("env", "test");
          app.use(sessions);
          app.get("/", (req: Any, res: Any) => res.send(String(countVisits(req.session))));
          app.get("/bad", (req: Any, res: Any) => {
            fail();
            req.session.value = value;
            res.send("all is well");
          });
          app.use(handler);
          const browser = await listen(t, app);
          const answer = await browser.get("/bad");
          assert.deepEqual(sessionCookies(answer), []);
          if (how.startsWith("res.redirect")) assert.equal(answer.headers.location, "/sorry");
          else if (how !== "Express's own") assert.match(answer.text, /sorry/);
          // Whoever says no status leaves the one of an answer that did not succeed, or Node's own.
          if (!/bare|write\(\)|redirect|piped/.test(how)) assert.equal(answer.status, status);
          assert.doesNotMatch(answer.text, /all is well/);
          await remembersVisitors(browser);
        });
      }
    });
  }
}
