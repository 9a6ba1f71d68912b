import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import express, { type NextFunction, type Request, type Response } from "express";
import { type SessionOptions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { KINDS, listen, site } from "../support/site.ts";

const SECRET = "XNyH2ZxqPwLrT8vKdM5cFbG7jW9sEuAo-caches";
const ROOT = join(import.meta.dirname, "../..");

interface Kept {
  status: number;
  headers: OutgoingHttpHeaders;
  body: string;
}

/** A response cache, as routes mount it between the session and their handler. Each takes its copy in another way. */
type Cache = (req: Request, res: Response, next: NextFunction) => void;

/** Serves what is kept, or has `copy` keep what the handler answers. */
function cache(copy: (res: Response, keep: (kept: Kept) => void) => void): Cache {
  const kept = new Map<string, Kept>();
  return (req, res, next) => {
    const found = kept.get(req.url);
    if (found === undefined) {
      copy(res, (one) => kept.set(req.url, one));
      next();
      return;
    }
    for (const [name, value] of Object.entries(found.headers)) if (value !== undefined) res.setHeader(name, value);
    res.setHeader("X-Cache", "hit");
    res.status(found.status).end(found.body);
  };
}

const CACHES: Record<string, () => Cache> = {
  "patches send": () =>
    cache((res, keep) => {
      const { send } = res;
      res.send = (body) => {
        keep({ status: res.statusCode, headers: { ...res.getHeaders() }, body: String(body) });
        return Reflect.apply(send, res, [body]);
      };
    }),
  "patches end": () =>
    cache((res, keep) => {
      const { end } = res;
      Object.assign(res, {
        end(...args: unknown[]) {
          keep({ status: res.statusCode, headers: { ...res.getHeaders() }, body: String(args[0]) });
          return Reflect.apply(end, res, args);
        },
      });
    }),
  "patches write and end, and copies the headers in writeHead": () =>
    cache((res, keep) => {
      const { write, end, writeHead } = res;
      let headers: OutgoingHttpHeaders = {};
      let body = "";
      Object.assign(res, {
        writeHead(...args: unknown[]) {
          headers = { ...res.getHeaders(), ...(typeof args[1] === "object" ? args[1] : {}) };
          return Reflect.apply(writeHead, res, args);
        },
        write(...args: unknown[]) {
          body += args[0];
          return Reflect.apply(write, res, args);
        },
        end(...args: unknown[]) {
          if (args[0]) body += args[0];
          const result = Reflect.apply(end, res, args);
          keep({ status: res.statusCode, headers, body });
          return result;
        },
      });
    }),
};

const ANSWERS: Record<string, (res: Response, text: string) => void> = {
  send: (res, text) => void res.send(text),
  "write and end": (res, text) => {
    res.write(text);
    res.end();
  },
  "writeHead and end": (res, text) => {
    res.writeHead(200, { "Content-Type": "text/plain", "X-Page": "1" });
    res.end(text);
  },
};

async function start(
  t: { after(action: () => unknown): void },
  options: SessionOptions,
  build: (app: express.Express) => void,
) {
  const sessions = session(options);
  const app = express();
  app.set("env", "test");
  app.use(sessions);
  build(app);
  return listen(t, createServer(app), sessions);
}

describe("a cache between the session and the handler never sees the cookie", () => {
  for (const later of [false, true]) {
    for (const [cached, make] of Object.entries(CACHES)) {
      for (const [answered, send] of Object.entries(ANSWERS)) {
        // These two copy at the end, when the head has left: as with express-session, its headers are there to see.
        if (!cached.includes("writeHead") && answered !== "send") continue;
        test(`one that ${cached}, ${answered}, ${later ? "a store that answers later" : "MemoryStore"}`, async (t) => {
          const clock = new ManualClock();
          const store = new ProbeStore(new MemoryStore({ clock }), { async: later }).store;
          const { visitor } = await start(t, { clock, store }, (app) => {
            app.get("/news", make(), (req, res) => {
              Object.assign(req.session, { reads: 1 });
              send(res, "news");
            });
          });
          const [first, second] = [visitor(), visitor()];
          const began = await first.get("/news");
          assert.deepEqual([began.text, began.setCookies.length], ["news", 1]);
          const hit = await second.get("/news");
          assert.deepEqual([hit.text, hit.headers["x-cache"], hit.setCookies], ["news", "hit", []]);
        });
      }
    }
  }
});

const PUBLIC: OutgoingHttpHeaders[] = [
  { "cache-control": "public, max-age=60" },
  { "cache-control": "PUBLIC" },
  { "cache-control": "s-maxage=60" },
  { "cache-control": "max-age=60" },
  { "cache-control": 'private="x-other", max-age=60' },
  { "cache-control": "no-cache" },
  { "cdn-cache-control": "max-age=60" },
  { "surrogate-control": "max-age=60", "x-accel-expires": "60", "cloudflare-cdn-cache-control": "max-age=60" },
  {},
];

function answerWith(res: ServerResponse, headers: OutgoingHttpHeaders, inHead: boolean): void {
  if (inHead) {
    res.writeHead(200, headers).end("text");
    return;
  }
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value);
  res.end("text");
}

describe("what the application says of caching", () => {
  for (const kind of KINDS) {
    test(`an answer with the cookie says no-store, whatever the application says (${kind})`, async (t) => {
      for (const headers of PUBLIC) {
        for (const inHead of [false, true]) {
          const { visitor } = await site(t, { kind }, async (req, res) => {
            if (req.url === "/begin") Object.assign(req.session, { n: 1 });
            if (req.url === "/renew") req.session.persist("1d");
            if (req.url === "/login") await req.session.login("alice");
            if (req.url === "/logout") await req.session.logout();
            answerWith(res, headers, inHead);
          });
          const one = visitor();
          for (const path of ["/begin", "/renew", "/login", "/logout"]) {
            const answer = await one.get(path);
            assert.equal(answer.setCookies.length, 1, path);
            assert.equal(answer.headers["cache-control"], "no-store", `${path} ${JSON.stringify(headers)}`);
            assert.deepEqual(
              Object.keys(answer.headers).filter((name) => /cdn|surrogate|accel/.test(name)),
              [],
            );
          }
        }
      }
    });
  }

  test("an answer that read the session is private", async (t) => {
    const table: [string | undefined, string][] = [
      ["public, max-age=60", "private, max-age=60"],
      ["s-maxage=60, max-age=5", "private, max-age=5"],
      ["max-age=60", "private, max-age=60"],
      ["no-cache", "private, no-cache"],
      ["private, max-age=60", "private, max-age=60"],
      ["no-store", "no-store"],
      [undefined, "private"],
    ];
    for (const [said, sent] of table) {
      const { visitor } = await site(t, {}, (req, res) => {
        JSON.stringify(req.session);
        answerWith(
          res,
          { ...(said !== undefined && { "cache-control": said }), "cdn-cache-control": "max-age=9" },
          false,
        );
      });
      const { headers } = await visitor().get();
      assert.deepEqual(
        [headers["cache-control"], headers["cdn-cache-control"], headers.vary],
        [sent, undefined, "Cookie"],
      );
    }
  });

  test("an answer that never read the session is the application's own", async (t) => {
    const { visitor } = await site(t, {}, (req, res) => {
      if (req.url === "/begin") Object.assign(req.session, { n: 1 });
      answerWith(res, { "cache-control": "public, max-age=60", "cdn-cache-control": "max-age=9" }, false);
    });
    const one = visitor();
    await one.get("/begin");
    const { headers, setCookies } = await one.get("/unread");
    assert.deepEqual(
      [headers["cache-control"], headers["cdn-cache-control"], headers.vary],
      ["public, max-age=60", "max-age=9", undefined],
    );
    assert.deepEqual(setCookies, []);
  });

  test("a file for everyone renews no sealed session", async (t) => {
    const clock = new ManualClock();
    const { visitor } = await start(t, { clock, store: new SealedStore({ secret: SECRET }) }, (app) => {
      app.use("/public", express.static(ROOT, { maxAge: "1d" }));
      app.use("/own", express.static(ROOT, { cacheControl: false }));
      app.get("/begin", (req: IncomingMessage, res) => {
        Object.assign(req, { session: { n: 1 } });
        res.end();
      });
    });
    const one = visitor();
    await one.get("/begin");
    clock.advance(10 * 60_000);
    const file = await one.get("/public/package.json");
    assert.equal(file.headers["cache-control"], "public, max-age=86400");
    assert.deepEqual([file.status, file.setCookies], [200, []]);
    const own = await one.get("/own/package.json");
    assert.deepEqual(
      [own.status, own.setCookies.length, own.headers["cache-control"]],
      [200, 1, "no-store"],
      "still due",
    );
  });
});
