import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Any, type Cleanup, countVisits, express, kinds, listen, load, sessionCookies } from "./world.ts";

/**
 * Caches of whole answers, on a route below the sessions: they copy an answer's status, headers and body by patching the response, and
 * give the copy to the next visitor. None of it may be this visitor's cookie.
 */

/** What each cache makes of a route's handler. */
const caches: Record<string, (t: Cleanup) => Any> = {
  // https://www.npmjs.com/package/apicache: patches writeHead, write and end, and copies the headers.
  apicache: (t) => apicache(t, {}),
  "apicache with headers of its own": (t) =>
    apicache(t, { statusCodes: { include: [200] }, headers: { "cache-control": "no-cache" } }),
  // As in many a tutorial on memory-cache and node-cache.
  "a patched send": () => {
    const kept = new Map<string, unknown>();
    return (req: Any, res: Any, next: Any) => {
      const hit = kept.get(req.originalUrl);
      if (hit !== undefined) return res.send(hit);
      const send = res.send.bind(res);
      res.send = (body: unknown) => {
        if (!kept.has(req.originalUrl)) kept.set(req.originalUrl, body);
        return send(body);
      };
      next();
    };
  },
  "a patched end that copies getHeaders()": () =>
    copying((res, keep) => {
      const end = res.end;
      res.end = function (this: Any, chunk: unknown, ...rest: unknown[]) {
        keep({ status: this.statusCode, headers: { ...this.getHeaders() }, body: chunk });
        return end.call(this, chunk, ...rest);
      };
    }),
  "a patched writeHead that copies its arguments and getHeaders()": () =>
    copying((res, keep) => {
      const { writeHead, end } = res;
      let head = { status: 200, headers: {} };
      res.writeHead = function (this: Any, status: number, ...rest: Any[]) {
        head = { status, headers: { ...this.getHeaders(), ...rest.at(-1) } };
        return writeHead.call(this, status, ...rest);
      };
      res.end = function (this: Any, chunk: unknown, ...rest: unknown[]) {
        const result = end.call(this, chunk, ...rest);
        keep({ ...head, body: chunk });
        return result;
      };
    }),
  "a patched write and end that copy getHeaders() and the chunks": () =>
    copying((res, keep) => {
      const { write, end } = res;
      const chunks: unknown[] = [];
      res.write = function (this: Any, chunk: unknown, ...rest: unknown[]) {
        chunks.push(chunk);
        return write.call(this, chunk, ...rest);
      };
      res.end = function (this: Any, chunk: unknown, ...rest: unknown[]) {
        chunks.push(chunk);
        keep({ status: this.statusCode, headers: { ...this.getHeaders() }, body: chunks.join("") });
        return end.call(this, chunk, ...rest);
      };
    }),
};

function apicache(t: Cleanup, options: object): Any {
  const cache = load("apicache").newInstance(options);
  // Each entry has a timer, which keeps the process alive, and which clear() without a key leaves running.
  t.after(() => {
    for (const key of cache.getIndex().all) cache.clear(key);
  });
  return cache.middleware("1 minute");
}

interface Copy {
  status: number;
  headers: Record<string, Any>;
  body: unknown;
}

function copying(patch: (res: Any, keep: (copy: Copy) => void) => void): Any {
  const kept = new Map<string, Copy>();
  return (req: Any, res: Any, next: Any) => {
    const hit = kept.get(req.originalUrl);
    if (hit === undefined) {
      patch(res, (copy) => kept.set(req.originalUrl, copy));
      return next();
    }
    res.statusCode = hit.status;
    for (const [name, value] of Object.entries(hit.headers)) res.setHeader(name, value);
    res.end(hit.body);
  };
}

for (const [cacheName, cache] of Object.entries(caches)) {
  describe(`sessions above ${cacheName}`, () => {
    for (const [kind, open] of Object.entries(kinds)) {
      test(`the next visitor gets the page and not the cookie (${kind})`, async (t) => {
        let runs = 0;
        const app = express(open(t), (app) => {
          app.get("/news", cache(t), (req: Any, res: Any) => {
            runs++;
            req.session.reader = runs;
            res.send("the news");
          });
          app.get("/visits", (req: Any, res: Any) => res.send(`${countVisits(req.session)} ${req.session.reader}`));
        });
        const first = await listen(t, app);
        const begun = await first.get("/news");
        assert.deepEqual([begun.status, begun.text, sessionCookies(begun).length], [200, "the news", 1]);

        const second = first.stranger();
        const cached = await second.get("/news");
        assert.deepEqual([cached.status, cached.text, runs], [200, "the news", 1]);
        assert.deepEqual(cached.setCookies, [], "the first visitor's cookie");

        // Whoever has a session of their own keeps it.
        assert.equal((await first.get("/visits")).text, "1 1");
        assert.equal((await second.get("/visits")).text, "1 undefined");
        assert.deepEqual((await second.get("/news")).setCookies, []);
        assert.equal((await second.get("/visits")).text, "2 undefined");
        assert.equal((await first.get("/visits")).text, "2 1");
      });
    }
  });
}
