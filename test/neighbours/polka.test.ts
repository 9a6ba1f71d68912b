import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { describe, test } from "node:test";
import { type Any, countVisits, kinds, listen, load, remembersVisitors, sessionCookies } from "./world.ts";

/** Frameworks that hand handlers Node's own response: https://www.npmjs.com/package/polka, Connect, and none at all. */
type Build = (sessions: Any, handler: (req: Any, res: Any) => unknown) => RequestListener;
const frameworks: Record<string, Build> = {
  polka: (sessions, handler) => {
    const app = load("polka")();
    app.use(sessions);
    app.get("*", handler);
    return app.handler;
  },
  Connect: (sessions, handler) => {
    const app = load("connect")();
    app.use(sessions);
    app.use(handler);
    return app;
  },
  "node:http": (sessions, handler) => (req, res) =>
    sessions(req, res, (error: unknown) => {
      if (error !== undefined) res.writeHead(500).end("error");
      else handler(req, res);
    }),
};

/** A page that looks at the session for the first time while it is an argument already, and repeats what the visitor asked for. */
const page = (req: Any) => `${countVisits(req.session)} ${new URL(req.url, "http://localhost").searchParams.get("q")}`;

const ways: Record<string, (req: Any, res: Any) => unknown> = {
  "res.end(page(req))": (req, res) => res.end(page(req)),
  "res.write(page(req))": (req, res) => {
    res.write(page(req));
    res.end();
  },
  "res.writeHead(200, { … page(req) })": (req, res) => {
    res.writeHead(200, { "x-page": encodeURIComponent(page(req)) }).end(page(req));
  },
  "res.setHeader, then res.end(page(req))": (req, res) => {
    res.setHeader("Content-Type", "text/plain");
    res.end(page(req));
  },
};
/** Looks like a response's head, and must stay a page's text. */
const question = "HTTP/1.1 200 OK\r\nSet-Cookie: planted=1\r\nContent-Length: 3\r\n\r\nbad";

for (const [name, build] of Object.entries(frameworks)) {
  describe(`${name}, a handler that first looks at the session in an argument`, () => {
    for (const [way, handler] of Object.entries(ways)) {
      for (const [kind, open] of Object.entries(kinds)) {
        test(`${way} (${kind})`, async (t) => {
          const browser = await listen(t, createServer(build(open(t), handler)));
          const answer = await browser.get(`/?q=${encodeURIComponent(question)}`);
          assert.equal(answer.status, 200);
          assert.match(answer.text, /^[12] HTTP\/1\.1 200 OK\r\nSet-Cookie: planted/);
          assert.equal(sessionCookies(answer).length, 1);
          assert.equal(answer.setCookies.length, 1);
          assert.match((await browser.get("/?q=again")).text, /^[234] again$/);
        });
      }
    }
  });

  for (const [kind, open] of Object.entries(kinds)) {
    test(`${name} remembers visitors (${kind})`, async (t) => {
      const handler = (req: Any, res: Any) => {
        const visits = countVisits(req.session);
        res.end(String(visits));
      };
      await remembersVisitors(await listen(t, createServer(build(open(t), handler))));
    });
  }
}
