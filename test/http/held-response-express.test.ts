import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import express, { type NextFunction, type Request, type Response } from "express";
import type { HoldHooks } from "../../src/http/held-response/hooks.ts";
import { holdResponse } from "../../src/http/held-response.ts";
import { type Answer, Gate, serve, type TestServer } from "../support/raw-client.ts";

const FILE = fileURLToPath(new URL("../../package.json", import.meta.url));
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A session's part in one response, as far as the hold knows it. */
function hold(res: ServerResponse, next: NextFunction, commit: () => void | Promise<void>, end = commit): void {
  let failed = false;
  const hooks: HoldHooks = {
    beforeHeaders: () => (failed ? undefined : commit()),
    writeHeaders: () => {
      if (!failed) res.setHeader("Set-Cookie", [res.getHeader("set-cookie") ?? [], "sid=1"].flat().map(String));
    },
    beforeEnd: () => (failed ? undefined : end()),
    failed: (error) => {
      failed = true;
      next(error);
    },
  };
  holdResponse(res, hooks);
}

type Route = (req: Request, res: Response, next: NextFunction) => unknown;

const ROUTES: Record<string, Route> = {
  "res.json": (_req, res) => res.json({ saved: true }),
  "res.send(text)": (_req, res) => res.send("<p>saved</p>"),
  "res.send(buffer)": (_req, res) => res.send(Buffer.from("saved")),
  "res.send()": (_req, res) => res.send(),
  "res.redirect": (_req, res) => res.redirect("/next"),
  "res.sendStatus": (_req, res) => res.sendStatus(418),
  "res.status(204).end": (_req, res) => res.status(204).end(),
  "res.sendFile": (_req, res) => res.sendFile(FILE),
  "res.sendFile, a range": (req, res) => {
    req.headers.range = "bytes=2-5";
    res.sendFile(FILE);
  },
  "res.download": (_req, res) => res.download(FILE, "it.json"),
  "express.static": (req, res, next) => {
    req.url = "/package.json";
    express.static(ROOT)(req, res, next);
  },
  "res.jsonp": (req, res) => {
    req.url = "/?callback=go";
    res.jsonp({ saved: true });
  },
  "a fresh answer, 304": (req, res) => {
    req.headers["if-none-match"] = "*";
    res.set("ETag", '"1"').send("unchanged");
  },
  "res.cookie and res.redirect": (_req, res) => res.cookie("other", "1").clearCookie("old").redirect(303, "/next"),
  "res.format": (_req, res) => res.format({ text: () => res.send("text"), default: () => res.send("any") }),
  "an async handler": async (_req, res) => {
    await new Promise((resolve) => setImmediate(resolve));
    res.json({ saved: true });
  },
  "no handler, 404": (_req, _res, next) => next(),
  "an error": (_req, _res, next) => next(Object.assign(new Error("teapot"), { status: 418, stack: "teapot" })),
};

const express4: typeof express = createRequire(import.meta.url)("express4"); // it has no types

const HEADER_APIS: Record<string, (res: Response) => void> = {
  setHeader: (res) => void res.setHeader("Set-Cookie", ["a=1", "b=1"]),
  appendHeader: (res) => void res.appendHeader("Set-Cookie", "a=1").appendHeader("Set-Cookie", "b=1"),
  setHeaders: (res) => {
    const headers = new Headers();
    headers.append("Set-Cookie", "a=1");
    headers.append("Set-Cookie", "b=1");
    res.setHeaders(headers);
  },
  "res.cookie": (res) => void res.cookie("a", "1", { path: "" }).cookie("b", "1", { path: "" }),
  "writeHead, object": (res) => void res.writeHead(200, { "Set-Cookie": ["a=1", "b=1"] }),
  "writeHead, flat array": (res) => void res.writeHead(200, ["Set-Cookie", "a=1", "Set-Cookie", "b=1"]),
  "writeHead, nested array": (res) => {
    const pairs = [
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=1"],
    ];
    Reflect.apply(res.writeHead, res, [200, pairs]);
  },
};

for (const [version, create] of [
  ["4", express4],
  ["5", express],
] as const) {
  describe(`a held response in Express ${version}`, () => {
    let served: TestServer;
    let route: Route = () => undefined;
    let prepare: Route = (_req, _res, next) => next();
    let onError: ((error: unknown, req: Request, res: Response, next: NextFunction) => void) | undefined;

    before(async () => {
      const app = create();
      app.set("env", "test");
      app.use((req, res, next) => prepare(req, res, next));
      app.use((req, res, next) => void Promise.resolve(route(req, res, next)));
      app.use((error: unknown, req: Request, res: Response, next: NextFunction) => {
        if (onError === undefined) next(error);
        else onError(error, req, res, next);
      });
      served = await serve("http1", (req, res) => void app(req, res));
    });
    after(() => served.close());

    for (const [name, handler] of Object.entries(ROUTES)) {
      for (const method of ["GET", "HEAD"]) {
        test(`${name}, ${method}: nothing before the commit, then the same response`, async () => {
          onError = undefined;
          route = handler;
          prepare = (_req, _res, next) => next();
          const plain = comparable(await served.get("/", method));

          prepare = (_req, res, next) => {
            hold(res, next, () => undefined);
            next();
          };
          assert.deepEqual(comparable(await served.get("/", method)), plain);

          const gate = new Gate();
          const begun = new Gate();
          prepare = (_req, res, next) => {
            const commit = () => {
              begun.open();
              return gate.promise;
            };
            hold(res, next, commit, () => undefined);
            next();
          };
          const exchange = await served.request("/", method);
          await begun.promise;
          await served.fence(exchange);
          assert.equal(exchange.arrived(), 0);
          gate.open();
          const answer = await exchange.finished;
          assert.ok(answer.headers.includes("set-cookie: sid=1"));
          assert.deepEqual(comparable(answer), plain);
        });
      }

      test(`${name}: a commit that fails becomes the error handler's 503 and leaves nothing behind`, async () => {
        for (const fail of [() => Promise.reject(outage()), () => throwOutage()]) {
          onError = undefined;
          route = handler;
          prepare = (_req, res, next) => {
            res.setHeader("Content-Security-Policy", "default-src 'self'");
            res.setHeader("Access-Control-Allow-Origin", "*");
            res.appendHeader("Set-Cookie", "theirs=1; Path=/");
            hold(res, next, fail);
            next();
          };
          const answer = await served.get();
          assert.equal(answer.status, 503);
          assert.equal(answer.reason, "Service Unavailable");
          assert.equal(answer.complete, true);
          const names = answer.headers.map((line) => line.slice(0, line.indexOf(":")));
          for (const stale of [
            "location",
            "etag",
            "last-modified",
            "accept-ranges",
            "content-range",
            "content-disposition",
          ]) {
            assert.ok(!names.includes(stale), `${stale} of the failed answer is left`);
          }
          assert.ok(answer.headers.includes("content-type: text/html; charset=utf-8"));
          assert.ok(answer.headers.includes(`content-length: ${answer.body.length}`));
          assert.ok(answer.headers.includes("access-control-allow-origin: *"));
          assert.equal(answer.headers.filter((line) => line === "set-cookie: theirs=1; Path=/").length, 1);
          assert.ok(!answer.headers.includes("set-cookie: sid=1"));
          assert.match(answer.body, /the store is out/);
        }
      });
    }

    test("the failure is told after the handler returned, even when the commit throws", async () => {
      const log: string[] = [];
      route = (_req, res) => {
        res.redirect("/next");
        assert.equal(res.headersSent, true);
        log.push("handler returned");
      };
      onError = (_error, _req, res) => {
        log.push("error handler");
        assert.deepEqual(
          [res.headersSent, res.writableEnded, res.statusCode, res.statusMessage],
          [false, false, 200, undefined],
        );
        res.status(500).send("failed");
      };
      prepare = (_req, res, next) => {
        hold(res, next, throwOutage);
        next();
      };
      const answer = await served.get();
      assert.deepEqual(log, ["handler returned", "error handler"]);
      assert.equal(answer.status, 500);
      assert.equal(answer.body, "failed");
    });

    test("a failed response says nothing of itself, however much it had to say", async () => {
      route = (_req, res) => {
        res.statusMessage = "Fine";
        res.set({
          "Cache-Control": "public, max-age=31536000, immutable",
          "Content-Encoding": "identity",
          "Content-Language": "en",
          "Clear-Site-Data": '"cookies"',
          Expires: "Thu, 01 Jan 2099 00:00:00 GMT",
          Link: "</a>; rel=next",
          Trailer: "X-Sum",
          "X-Accel-Redirect": "/protected",
          "Strict-Transport-Security": "max-age=1",
          Vary: "Accept",
        });
        res.writeHead(302, "Over There", { Location: "/next", ETag: '"1"' });
        res.addTrailers({ "X-Sum": "1" });
        res.end();
      };
      onError = (_error, _req, res) => {
        assert.equal(res.hasHeader("cache-control"), false);
        res.writeHead(500);
        res.end("failed");
      };
      prepare = (_req, res, next) => {
        res.removeHeader("X-Powered-By");
        hold(res, next, throwOutage);
        next();
      };
      const answer = await served.get();
      assert.equal(answer.reason, "Internal Server Error");
      assert.equal(answer.body, "failed");
      assert.deepEqual(answer.trailers, []);
      assert.deepEqual(
        answer.headers.filter((line) => !line.startsWith("date")),
        ["connection: close", "strict-transport-security: max-age=1", "transfer-encoding: chunked", "vary: Accept"],
      );
    });

    test("no-store outlives a failed answer", async () => {
      route = (_req, res) => res.set("Cache-Control", "private, no-store").send("text");
      onError = undefined;
      prepare = (_req, res, next) => {
        hold(res, next, throwOutage);
        next();
      };
      assert.ok((await served.get()).headers.includes("cache-control: private, no-store"));
    });

    describe("cookies of other modules survive exactly once", () => {
      for (const [name, setCookies] of Object.entries(HEADER_APIS)) {
        for (const order of ["held first", "cookies first"]) {
          for (const [kind, commit] of [
            ["at once", () => undefined],
            ["later", () => Promise.resolve()],
          ] as const) {
            // Once writeHead was called the headers are gone, so a hold comes too late for a cookie of its own.
            const isTooLate = name.startsWith("writeHead") && order === "cookies first";
            if (isTooLate && /array/.test(name)) continue; // what Node makes of these is Node's own business
            test(`${name}, ${order}, committed ${kind}`, async () => {
              onError = undefined;
              prepare = (_req, _res, next) => next();
              route = (_req, res, next) => {
                if (order === "held first") hold(res, next, commit);
                setCookies(res);
                if (order === "cookies first") hold(res, next, commit);
                res.end("text");
              };
              const cookies = (await served.get()).headers.filter((line) => line.startsWith("set-cookie: "));
              const own = isTooLate ? [] : ["set-cookie: sid=1"];
              assert.deepEqual(cookies, ["set-cookie: a=1", "set-cookie: b=1", ...own]);
            });
          }
        }
      }
    });
  });
}

function outage(): Error {
  return Object.assign(new Error("the store is out"), { status: 503, expose: true });
}

function throwOutage(): never {
  throw outage();
}

function comparable({ headers, ...answer }: Answer): Answer {
  return { ...answer, headers: headers.filter((line) => !line.startsWith("date: ") && line !== "set-cookie: sid=1") };
}
