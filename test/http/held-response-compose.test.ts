import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { constants, createGzip, gunzipSync } from "node:zlib";
import type { HoldHooks } from "../../src/http/held-response/hooks.ts";
import { holdResponse } from "../../src/http/held-response.ts";
import {
  type Answer,
  Gate,
  type Handler,
  PROTOCOLS,
  type Protocol,
  serve,
  type TestServer,
} from "../support/raw-client.ts";

/**
 * Other modules patch the response too, before us or after. Each of these does it in the way of a well-known one; a
 * server without a hold is the oracle.
 */
type Patch = (res: ServerResponse) => void;

/** As `on-headers` does it: the last moment before the headers leave. */
const stampHeaders: Patch = (res) => {
  const { writeHead } = res;
  let isStamped = false;
  const stamped = function (this: ServerResponse, ...args: unknown[]) {
    assert.equal(this, res);
    if (!isStamped) {
      isStamped = true;
      res.setHeader("X-Stamp", "1");
    }
    return Reflect.apply(writeHead, this, args);
  };
  Object.assign(res, { writeHead: stamped });
};

/** As `compression` does it: decides with the headers, then writes through a stream of its own. */
function compress(
  haveHeadersLeft: (res: ServerResponse) => boolean,
  sendHeaders: (res: ServerResponse) => void,
): Patch {
  return (res) => {
    const { writeHead, write, end, on } = res;
    let gzip: ReturnType<typeof createGzip> | undefined;
    let isDecided = false;
    let hasEnded = false;
    const early: [string, (...args: unknown[]) => void][] = [];
    const decide = () => {
      isDecided = true;
      if (res.hasHeader("x-no-gzip")) {
        for (const args of early) Reflect.apply(on, res, args);
        return;
      }
      const stream = createGzip();
      gzip = stream;
      for (const args of early) stream.on(...args);
      res.setHeader("Content-Encoding", "gzip");
      res.removeHeader("Content-Length");
      stream.on("data", (chunk) => {
        if (Reflect.apply(write, res, [chunk]) === false) stream.pause();
      });
      stream.on("end", () => Reflect.apply(end, res, []));
      Reflect.apply(on, res, ["drain", () => stream.resume()]);
    };
    Object.assign(res, {
      writeHead(...args: unknown[]) {
        if (!isDecided) decide();
        return Reflect.apply(writeHead, res, args);
      },
      write(chunk: string | Buffer) {
        if (hasEnded) return false;
        if (!haveHeadersLeft(res)) sendHeaders(res);
        return gzip === undefined ? Reflect.apply(write, res, [chunk]) : gzip.write(chunk);
      },
      flush() {
        gzip?.flush();
      },
      end(chunk?: string | Buffer) {
        if (hasEnded) return false;
        if (!haveHeadersLeft(res)) sendHeaders(res);
        if (gzip === undefined) return Reflect.apply(end, res, [chunk]);
        hasEnded = true;
        return chunk ? gzip.end(chunk) : gzip.end();
      },
      on(name: string, listener: (...args: unknown[]) => void) {
        if (name !== "drain" || (isDecided && gzip === undefined)) return Reflect.apply(on, res, [name, listener]);
        if (gzip !== undefined) return gzip.on(name, listener);
        early.push([name, listener]);
        return res;
      },
    });
  };
}

const compressToday = compress(
  (res) => res.headersSent,
  (res) => void res.writeHead(res.statusCode),
);

/** Before 1.8: it asked Node's private parts. */
const compressOnce = compress(
  (res) => Boolean(Reflect.get(res, "_header")),
  (res) => Reflect.apply(Reflect.get(res, "_implicitHeader"), res, []),
);

/** As body loggers and page rewriters do it: collects what is written and sends it, changed, at the end. */
const rewriteBody: Patch = (res) => {
  const { end } = res;
  const parts: string[] = [];
  Object.assign(res, {
    write(chunk: unknown) {
      parts.push(String(chunk));
      return true;
    },
    end(chunk?: unknown) {
      if (chunk) parts.push(String(chunk));
      const body = parts.join("").toUpperCase();
      if (!res.headersSent) res.setHeader("Content-Length", Buffer.byteLength(body));
      return Reflect.apply(end, res, [body]);
    },
  });
};

/** As proxies of headers do it. */
const renameHeaders: Patch = (res) => {
  const { setHeader } = res;
  Object.assign(res, {
    setHeader(name: string, value: string) {
      return Reflect.apply(setHeader, res, [name === "X-Old-Name" ? "X-New-Name" : name, value]);
    },
  });
};

const PATCHES: Record<string, Patch> = {
  "one that waits for headers": stampHeaders,
  "one that compresses": compressToday,
  "one that replaced setHeader": renameHeaders,
  "all of them": (res) => {
    for (const patch of [renameHeaders, stampHeaders, compressToday, stampHeaders]) patch(res);
  },
};
const PATCHES_OF: Record<Protocol, Record<string, Patch>> = {
  // HTTP/2's own `end` writes through the response's `write`, which the rewriter keeps for itself.
  http1: { ...PATCHES, "one that rewrites the body": rewriteBody, "one that compresses the old way": compressOnce },
  http2: PATCHES,
};

const LONG = "0123456789abcdef".repeat(8_000);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const SENDS: Record<string, Handler> = {
  "end(text)": (_req, res) => {
    res.setHeader("X-Old-Name", "1");
    res.end("text");
  },
  "end()": (_req, res) => void res.end(),
  "a redirect": (_req, res) => void res.writeHead(302, { Location: "/next", "Set-Cookie": "a=1" }).end(),
  "write and end": (_req, res) => {
    res.setHeader("Set-Cookie", ["a=1", "b=1"]);
    res.write("one ");
    res.end("two");
  },
  "write, then end later": (_req, res) => {
    res.write("one ");
    setImmediate(() => res.end("two"));
  },
  "a stream": (_req, res) => void Readable.from(LONG.match(/.{1,5000}/g) ?? []).pipe(res),
  "a stream that a small chunk begins": (_req, res) => void Readable.from(["one ", LONG, "two"]).pipe(res),
  "small chunks": (_req, res) => void Readable.from(["one ", "two ", "three"]).pipe(res),
  "what is not to be compressed": (_req, res) => {
    res.setHeader("X-No-Gzip", "1");
    Readable.from(["one ", LONG, "two"]).pipe(res);
  },
};

for (const protocol of PROTOCOLS) {
  describe(`a held response among others, ${protocol}`, () => {
    let served: TestServer;
    let handler: Handler = () => undefined;
    before(async () => {
      served = await serve(protocol, (req, res) => handler(req, res));
    });
    after(() => served.close());

    test("who kept the methods of the answer that failed can't write into the error's", async () => {
      const told: unknown[] = [];
      handler = (_req, res) => {
        let hasFailed = false;
        const failed = async () => {
          hasFailed = true;
          res.statusCode = 503;
          res.write("out ");
          await turn();
          assert.equal(Reflect.apply(write, res, ["stale", (error: unknown) => told.push(String(error))]), false);
          assert.equal(Reflect.apply(end, res, ["stale"]), res);
          assert.equal(Reflect.apply(writeHead, res, [200]), res);
          res.end("of order");
        };
        holdResponse(res, hooksOf(res, { beforeHeaders: () => (hasFailed ? undefined : failAfter(0)), failed }));
        const { write, end, writeHead } = res;
        res.end("text");
      };
      const answer = await served.get();
      assert.deepEqual([answer.status, answer.body, answer.complete], [503, "out of order", true]);
      assert.deepEqual(told, ["Error: the store is out"]);
    });

    test("flush sends what was written while the head waited, whoever compresses first", async () => {
      for (const order of ["before", "after"]) {
        const gate = new Gate();
        const begun = new Gate();
        const seen = new Gate();
        handler = (_req, res) => {
          seen.promise.then(() => res.end());
          const beforeHeaders = () => {
            begun.open();
            return gate.promise;
          };
          const hold = () => holdResponse(res, hooksOf(res, { beforeHeaders }));
          if (order === "after") hold();
          compressToday(res);
          if (order === "before") hold();
          res.write("data: hello\n\n");
          Reflect.apply(Reflect.get(res, "flush"), res, []);
        };
        const exchange = await served.request();
        await begun.promise;
        await served.fence(exchange);
        assert.equal(exchange.arrived(), 0);
        gate.open();
        // Nothing else will be written: it comes now, or never.
        while (unpacked(exchange.answer().body) !== "data: hello\n\n") await turn();
        seen.open();
        assert.equal((await exchange.finished).complete, true);
      }
    });

    for (const [name, patch] of Object.entries(PATCHES_OF[protocol])) {
      for (const order of ["before", "after"]) {
        const layered = (hold: Patch): Patch => {
          const layers = order === "before" ? [patch, hold] : [hold, patch];
          return (res) => {
            for (const layer of layers) layer(res);
          };
        };

        test(`${name}, ${order} us: the same response, and not a byte before the commit`, async () => {
          for (const [sent, send] of Object.entries(SENDS)) {
            const say = `${name} ${order} us, ${sent}`;
            handler = (req, res) => {
              patch(res);
              send(req, res);
            };
            const plain = comparable(await served.get());

            handler = (req, res) => {
              layered((it) => holdResponse(it, hooksOf(it)))(res);
              send(req, res);
            };
            assert.deepEqual(comparable(await served.get()), plain, say);

            const gate = new Gate();
            const begun = new Gate();
            handler = (req, res) => {
              const beforeHeaders = () => {
                begun.open();
                return gate.promise;
              };
              layered((it) => holdResponse(it, hooksOf(it, { beforeHeaders, beforeEnd: turn })))(res);
              send(req, res);
            };
            const exchange = await served.request();
            await begun.promise;
            await served.fence(exchange);
            assert.equal(exchange.arrived(), 0, say);
            gate.open();
            const answer = await exchange.finished;
            assert.ok(answer.headers.includes("set-cookie: sid=1"), say);
            assert.deepEqual(comparable(answer), plain, say);
          }
        });

        test(`${name}, ${order} us: a failed commit leaves an error page of its own`, async () => {
          const unexpected: unknown[] = [];
          const onUnexpected = (error: unknown) => void unexpected.push(error);
          process.on("uncaughtException", onUnexpected);
          process.on("unhandledRejection", onUnexpected);
          for (const [sent, send] of Object.entries(SENDS)) {
            for (const [delay, thought] of [
              [0, 0],
              [0, 5],
              [1, 0],
              [3, 5],
            ] as const) {
              const goesOn = /stream|later|chunks|not to be/.test(sent);
              handler = (req, res) => {
                let hasFailed = false;
                const beforeHeaders = () => (hasFailed ? undefined : failAfter(delay));
                const failed = async () => {
                  hasFailed = true;
                  for (let i = 0; i < thought; i++) await turn();
                  res.statusCode = 503;
                  res.setHeader("Content-Type", "text/plain");
                  if (goesOn) {
                    res.end("out of order");
                    return;
                  }
                  res.write("out ");
                  for (let i = 0; i < thought; i++) await turn();
                  res.end("of order");
                };
                layered((it) => holdResponse(it, hooksOf(it, { beforeHeaders, failed })))(res);
                send(req, res);
              };
              const answer = comparable(await served.get());
              const say = `${name} ${order} us, ${sent}, failing after ${delay}, answered after ${thought}: ${inspect(answer)}`;
              assert.deepEqual(
                [answer.status, answer.body.toLowerCase(), answer.complete],
                [503, "out of order", true],
                say,
              );
              assert.ok(!answer.headers.some((line) => line.startsWith("location")), say);
            }
          }
          for (let i = 0; i < 20; i++) await turn();
          process.off("uncaughtException", onUnexpected);
          process.off("unhandledRejection", onUnexpected);
          assert.deepEqual(unexpected, []);
        });
      }
    }
  });
}

async function failAfter(turns: number): Promise<never> {
  for (let i = 0; i < turns; i++) await turn();
  throw new Error("the store is out");
}

function hooksOf(res: ServerResponse, own: Partial<HoldHooks> = {}): HoldHooks {
  return {
    beforeHeaders: () => undefined,
    writeHeaders: () => {
      res.setHeader("Set-Cookie", [res.getHeader("set-cookie") ?? [], "sid=1"].flat().map(String));
    },
    beforeEnd: () => undefined,
    failed: (error) => assert.fail(inspect(error)),
    ...own,
  };
}

/** The text that a part of a compressed body holds so far. */
function unpacked(body: string): string {
  if (body === "") return "";
  return gunzipSync(Buffer.from(body, "latin1"), { finishFlush: constants.Z_SYNC_FLUSH }).toString("latin1");
}

/** Unpacked, and without what differs from run to run. */
function comparable({ headers, body, ...answer }: Answer): Answer {
  const isPacked = headers.includes("content-encoding: gzip") && body !== "";
  return {
    ...answer,
    body: isPacked ? gunzipSync(Buffer.from(body, "latin1")).toString("latin1") : body,
    headers: headers.filter((line) => !line.startsWith("date: ") && line !== "set-cookie: sid=1"),
  };
}
