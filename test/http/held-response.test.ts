import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
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

const FILE = new URL("../../package.json", import.meta.url);
const FILE_TEXT = readFileSync(FILE, "latin1");

/** Hooks that do nothing but set a cookie as a session does; each can be replaced. */
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

/** A response as far as two runs of the same handler must agree. */
function comparable({ headers, ...answer }: Answer, without: string[] = []): Answer {
  const kept = headers.filter((line) => !line.startsWith("date: ") && !without.includes(line));
  return { ...answer, headers: kept };
}

const noop = () => undefined;

/** Every way to answer. A plain server is the oracle: held or not, the same response arrives. */
const ANSWERS: Record<string, Handler> = {
  "a redirect": (_req, res) => {
    res.statusCode = 302;
    res.setHeader("Location", "/next");
    res.end();
  },
  JSON: (_req, res) => {
    res.setHeader("Content-Type", "application/json");
    res.end(JSON.stringify({ saved: true }));
  },
  "end()": (_req, res) => void res.end(),
  "end(null)": (_req, res) => void res.end(null),
  "end(text)": (_req, res) => void res.end("text"),
  "end(text, encoding)": (_req, res) => void res.end("caf\xe9", "latin1"),
  "end(buffer)": (_req, res) => void res.end(Buffer.from("bytes")),
  "end(callback)": (_req, res) => void res.end(noop),
  "end(undefined, callback)": (_req, res) => void res.end(undefined, noop),
  "end(text, callback)": (_req, res) => void res.end("text", noop),
  "end(text, encoding, callback)": (_req, res) => void res.end("caf\xe9", "latin1", noop),
  "status 204": (_req, res) => {
    res.statusCode = 204;
    res.end();
  },
  "status 304": (_req, res) => {
    res.statusCode = 304;
    res.setHeader("ETag", '"1"');
    res.end();
  },
  "status 404 with a body": (_req, res) => {
    res.statusCode = 404;
    res.end("nothing here");
  },
  "write, write, end": (_req, res) => {
    res.write("one ");
    res.write(Buffer.from("two "));
    res.end("three");
  },
  "write with encodings and callbacks": (_req, res) => {
    res.write("b25lIA==", "base64", noop);
    res.write("two", noop);
    res.end();
  },
  "write, then end later": (_req, res) => {
    res.write("one ", () => res.end("two"));
  },
  "flushHeaders, then end": (_req, res) => {
    res.flushHeaders();
    res.end("text");
  },
  "flushHeaders twice, with a length": (_req, res) => {
    res.setHeader("Content-Length", 4);
    res.flushHeaders();
    res.flushHeaders();
    res.end("text");
  },
  "writeHead(status)": (_req, res) => void res.writeHead(201).end("made"),
  "writeHead(status, reason)": (_req, res) => {
    if (res.req.httpVersion === "2.0") res.writeHead(201);
    else res.writeHead(201, "Made");
    res.end("made");
  },
  "writeHead(status, headers)": (_req, res) => void res.writeHead(201, { "X-A": "1", "X-B": ["2", "3"] }).end("made"),
  "writeHead(status, reason, headers)": (_req, res) => {
    if (res.req.httpVersion === "2.0") res.writeHead(201, { "X-A": "1" });
    else res.writeHead(201, "Made", { "X-A": "1" });
    res.end("made");
  },
  "writeHead(status, undefined, headers)": (_req, res) =>
    void res.writeHead(201, undefined, { "X-A": "1" }).end("made"),
  "writeHead with a flat array": (_req, res) => {
    res.writeHead(200, ["X-A", "1", "Set-Cookie", "a=1", "X-A", "2", "Set-Cookie", "b=2"]).end("text");
  },
  "writeHead over headers set before": (_req, res) => {
    res.setHeader("X-A", "old");
    res.setHeader("X-B", "kept");
    res.setHeader("Set-Cookie", ["a=1", "b=2"]);
    res.writeHead(200, { "x-a": "new", "Content-Length": 4 }).end("text");
  },
  "writeHead with cookies over cookies": (_req, res) => {
    res.setHeader("Set-Cookie", "a=1");
    res.writeHead(200, { "Set-Cookie": ["b=2", "c=3"] }).end("text");
  },
  "a reason set before": (_req, res) => {
    if (res.req.httpVersion !== "2.0") res.statusMessage = "Fine";
    res.end("text");
  },
  "a file by pipe": (_req, res) => void createReadStream(FILE, { highWaterMark: 256 }).pipe(res),
  "a file by pipeline": (_req, res) => void pipeline(createReadStream(FILE, { highWaterMark: 256 }), res, noop),
  "cork and uncork": (_req, res) => {
    res.cork();
    res.write("one ");
    res.write("two ");
    res.uncork();
    res.end("three");
  },
  trailers: (_req, res) => {
    res.setHeader("Trailer", "X-Sum");
    res.write("text");
    res.addTrailers({ "X-Sum": "4" });
    res.end();
  },
};

/** One server; its handler is whatever the test says. */
function server(protocol: Protocol): { handle(handler: Handler): TestServer } {
  let current: Handler = noop;
  let served: TestServer;
  before(async () => {
    served = await serve(protocol, (req, res) => current(req, res));
  });
  after(() => served.close());
  return {
    handle(handler) {
      current = handler;
      return served;
    },
  };
}

for (const protocol of PROTOCOLS) {
  describe(`a held response, ${protocol}`, () => {
    const { handle } = server(protocol);

    describe("no byte leaves before the commit, and then what would have left without it", () => {
      for (const [name, handler] of Object.entries(ANSWERS)) {
        for (const method of ["GET", "HEAD"]) {
          if (name === "trailers" && method === "HEAD") continue; // Node refuses them
          test(`${name}, ${method}`, async () => {
            const plain = comparable(await handle(handler).get("/", method));

            const counts = { headers: 0 };
            const count = (res: ServerResponse, own: Partial<HoldHooks>) => {
              const hooks = hooksOf(res, own);
              return { ...hooks, writeHeaders: () => [counts.headers++, hooks.writeHeaders()] };
            };
            const sync = handle((req, res) => {
              holdResponse(res, count(res, {}));
              handler(req, res);
            });
            assert.deepEqual(comparable(await sync.get("/", method), ["set-cookie: sid=1"]), plain);
            assert.equal(counts.headers, 1);

            const gate = new Gate();
            const begun = new Gate();
            const held = handle((req, res) => {
              const beforeHeaders = () => {
                begun.open();
                return gate.promise;
              };
              holdResponse(res, count(res, { beforeHeaders, beforeEnd: () => Promise.resolve() }));
              handler(req, res);
            });
            const exchange = await held.request("/", method);
            await begun.promise;
            await held.fence(exchange);
            assert.equal(exchange.arrived(), 0);
            gate.open();
            const answer = await exchange.finished;
            assert.ok(answer.headers.includes("set-cookie: sid=1"));
            assert.deepEqual(comparable(answer, ["set-cookie: sid=1"]), plain);
            assert.equal(counts.headers, 2);
          });
        }
      }
    });

    test("not a byte in 300 ms of commit", async () => {
      let committed = 0;
      const exchange = await handle((_req, res) => {
        const beforeHeaders = () =>
          new Promise<void>((resolve) => {
            setTimeout(() => {
              committed = Date.now();
              resolve();
            }, 300);
          });
        holdResponse(res, hooksOf(res, { beforeHeaders }));
        res.writeHead(302, { Location: "/" });
        res.end();
      }).request();
      assert.equal((await exchange.finished).status, 302);
      assert.ok(Number(exchange.firstAt()) >= committed);
    });

    test("nested arrays in writeHead, over headers set before", async () => {
      for (const wait of [undefined, Promise.resolve()]) {
        const { headers } = await handle((_req, res) => {
          holdResponse(res, hooksOf(res, { beforeHeaders: () => wait }));
          res.setHeader("X-A", "old");
          res.setHeader("X-B", "kept");
          const pairs = [
            ["x-a", "1"],
            ["X-A", "2"],
            ["Set-Cookie", ["a=1", "b=2"]],
          ];
          Reflect.apply(res.writeHead, res, [200, pairs]);
          res.end();
        }).get();
        // Node's HTTP/2 client joins repeated headers.
        const own = headers.flatMap((line) => (line === "x-a: 1, 2" ? ["x-a: 1", "x-a: 2"] : line));
        assert.deepEqual(
          own.filter((line) => /^(x-|set-cookie)/.test(line)),
          ["set-cookie: a=1", "set-cookie: b=2", "set-cookie: sid=1", "x-a: 1", "x-a: 2", "x-b: kept"],
        );
      }
    });

    test("an array of cookies that belongs to the application stays its own", async () => {
      const constant = ["a=1"];
      for (const headers of [
        { "Set-Cookie": constant },
        ["Set-Cookie", constant],
        ["Set-Cookie", constant, "Set-Cookie", "b=1"],
      ]) {
        await handle((_req, res) => {
          holdResponse(res, hooksOf(res, { writeHeaders: () => void res.appendHeader("Set-Cookie", "sid=secret") }));
          Reflect.apply(res.writeHead, res, [200, headers]);
          res.end();
        }).get();
        assert.deepEqual(constant, ["a=1"]);
      }
    });

    test("1xx responses pass", async () => {
      const gate = new Gate();
      const exchange = await handle((_req, res) => {
        holdResponse(res, hooksOf(res, { beforeHeaders: () => gate.promise }));
        res.writeEarlyHints({ link: "</style.css>; rel=preload" });
        res.end("text");
        res.writeEarlyHints({ link: "</late.css>; rel=preload" });
        gate.open();
      }).request();
      const answer = await exchange.finished;
      assert.equal(answer.status, 200);
      assert.equal(answer.body, "text");
    });

    test("looks sent to everyone else while it is held, and is itself again afterwards", async () => {
      const gate = new Gate();
      const seen: unknown[] = [];
      const finished = new Gate();
      const exchange = await handle((_req, res) => {
        const look = () => [res.headersSent, res.writableEnded, res.statusCode];
        holdResponse(res, hooksOf(res, { beforeHeaders: () => gate.promise }));
        const untouched = Object.keys(res);
        const own = headerMethods(res);
        seen.push(look());
        res.statusCode = 201;
        res.write("text");
        seen.push(look());
        const returned = [res.end() === res, res.end(noop) === res];
        seen.push(look(), returned);
        res.on("finish", () => {
          seen.push(look());
          assert.deepEqual(
            Object.keys(res).filter((name) => !untouched.includes(name) && !/^_|statusMessage|Headers?$/.test(name)),
            protocol === "http1" ? ["statusCode"] : [],
          );
          assert.deepEqual(headerMethods(res), own);
          finished.open();
        });
        gate.open();
      }).request();
      assert.equal((await exchange.finished).status, 201);
      await finished.promise;
      assert.deepEqual(seen, [
        [false, false, 200],
        [true, false, 201],
        // Adapters for serverless platforms take the body as soon as this is true.
        [true, false, 201],
        [true, true],
        [true, true, 201],
      ]);
    });

    test("status, reason and headers are those of the moment the handler fixed them", async () => {
      const send: Handler[] = [
        (_req, res) => void res.end("text"),
        (_req, res) => void res.write("text", () => res.end()),
        (_req, res) => void res.writeHead(201).end("text"),
        (_req, res) => res.flushHeaders(),
      ];
      for (const [i, handler] of send.entries()) {
        const gate = new Gate();
        const exchange = await handle((req, res) => {
          holdResponse(res, hooksOf(res, { beforeHeaders: () => gate.promise }));
          res.statusCode = 201;
          res.setHeader("X-A", "1");
          handler(req, res);
          res.statusCode = 500;
          if (protocol === "http1") res.statusMessage = "Broken";
          assert.throws(() => res.setHeader("X-A", "2"));
          gate.open();
          if (i === 3) res.end();
        }).request();
        const answer = await exchange.finished;
        assert.equal(answer.status, 201);
        assert.equal(answer.reason, protocol === "http1" ? "Created" : "");
        assert.ok(answer.headers.includes("x-a: 1"));
      }
    });

    /** Each changes something too late, or is wrong: Node's own response is the oracle for what is thrown. */
    const REFUSED: Record<string, (res: ServerResponse) => unknown> = {
      setHeader: (res) => res.setHeader("X-A", "1"),
      "setHeader with an invalid name": (res) => res.setHeader("X A", "1"),
      appendHeader: (res) => res.appendHeader("X-A", "1"),
      removeHeader: (res) => res.removeHeader("X-A"),
      setHeaders: (res) => res.setHeaders(new Map([["X-A", "1"]])),
      "writeHead again": (res) => res.writeHead(200),
      "writeHead again, in full": (res) => res.writeHead(500, { "X-A": "1" }),
      "write a number": (res) => res.write(1),
      "write null": (res) => res.write(null),
      "end with a number": (res) => res.end(1),
    };
    for (const [name, refused] of Object.entries(REFUSED)) {
      test(`${name} while it is held throws what Node throws`, async () => {
        const errors: unknown[] = [];
        const provoke: Handler = (_req, res) => {
          res.flushHeaders();
          try {
            refused(res);
          } catch (error) {
            errors.push(error);
          }
          res.end();
        };
        await handle(provoke).get();
        const exchange = await handle((req, res) => {
          holdResponse(res, hooksOf(res, { beforeHeaders: () => Promise.resolve() }));
          provoke(req, res);
        }).request();
        assert.equal((await exchange.finished).status, 200);
        const [plain, held] = errors.map(described);
        assert.ok(plain && held);
        // The one message that differs between the two protocols of Node itself.
        if (/number/.test(name)) assert.equal(held.code, plain.code);
        else assert.deepEqual(held, plain);
      });
    }

    const INVALID: Record<string, (res: ServerResponse) => unknown> = {
      "a status of 99": (res) => res.writeHead(99),
      "a status of 1000": (res) => res.writeHead(1000, { "X-A": "1" }),
      "an impossible status, implied": (res) => {
        res.statusCode = 9999;
        res.end();
      },
      "a header without a value": (res) => res.writeHead(200, { "X-A": undefined }),
      "an odd array of headers": (res) => res.writeHead(200, ["X-A"]),
      "write of null": (res) => res.write(null),
      "write of a number": (res) => res.write(1),
      "end of an object": (res) => res.end({}),
      ...(protocol === "http1" && {
        "no status": (res: ServerResponse) => Reflect.apply(res.writeHead, res, ["text"]),
        "an invalid reason": (res: ServerResponse) => res.writeHead(200, "a\nb"),
        "an invalid reason, implied": (res: ServerResponse) => {
          res.statusMessage = "a\nb";
          res.end();
        },
        "an invalid header name": (res: ServerResponse) => res.writeHead(200, { "X A": "1" }),
        "an invalid header value": (res: ServerResponse) => res.writeHead(200, { "X-A": "a\nb" }),
        "an invalid value in an array": (res: ServerResponse) => res.writeHead(200, ["X-A", "1", "X-A", "a\nb"]),
      }),
    };
    for (const [name, invalid] of Object.entries(INVALID)) {
      test(`${name} is refused at once as Node does, and nothing is committed for it`, async () => {
        const errors: unknown[] = [];
        const handler: Handler = (_req, res) => {
          try {
            invalid(res);
          } catch (error) {
            errors.push(error);
          }
          res.destroy();
        };
        await handle(handler).get();
        let commits = 0;
        await handle((req, res) => {
          const beforeHeaders = () => {
            commits++;
            return Promise.resolve();
          };
          holdResponse(res, hooksOf(res, { beforeHeaders }));
          handler(req, res);
        }).get();
        const [plain, held] = errors.map(described);
        assert.ok(plain && held, "both threw");
        assert.equal(held.code, plain.code);
        assert.equal(commits, 0);
      });
    }

    test("callbacks of write and end are called, in order, after the commit", async () => {
      const gate = new Gate();
      const calls: string[] = [];
      const exchange = await handle((_req, res) => {
        holdResponse(res, hooksOf(res, { beforeHeaders: () => gate.promise }));
        res.write("one ", () => calls.push("write"));
        res.end("two", () => calls.push("end"));
        setImmediate(() => {
          calls.push("commit");
          gate.open();
        });
      }).request();
      assert.equal((await exchange.finished).body, "one two");
      assert.deepEqual(calls, ["commit", "write", "end"]);
    });

    test("calls after the end do what Node does", async () => {
      const run = async (first: string | undefined, wait: Promise<void> | undefined | "plain") => {
        const log: unknown[] = [];
        const closed = new Gate();
        const exchange = await handle((_req, res) => {
          if (wait !== "plain") holdResponse(res, hooksOf(res, { beforeHeaders: () => wait, beforeEnd: () => wait }));
          res.on("error", (error) => log.push(described(error).code));
          res.on("close", closed.open);
          if (first !== undefined) res.write(first);
          res.end("text");
          res.end();
          res.end((error: unknown) => log.push(error === undefined ? "second end" : described(error).code));
          res.write("more", (error) => log.push(described(error).code));
        }).request();
        const { body } = await exchange.finished;
        await closed.promise;
        return { body, log: log.map(String).sort() };
      };
      for (const first of [undefined, "some "]) {
        const plain = await run(first, "plain");
        assert.deepEqual(await run(first, undefined), plain);
        // `writableEnded` is false until the end is made: who looked at it must not be punished by an error event.
        const held = await run(first, Promise.resolve());
        const event = protocol === "http1" ? ["ERR_STREAM_WRITE_AFTER_END"] : [];
        assert.deepEqual([...held.log, ...event].sort(), plain.log);
        assert.equal(held.body, `${first ?? ""}text`);
      }
    });

    test("a hold put on when headers left waits with the end only", async () => {
      const gate = new Gate();
      const asked = new Gate();
      const log: string[] = [];
      const tested = handle((_req, res) => {
        res.write("first ");
        const note = (name: string) => () => void log.push(name);
        const beforeEnd = () => {
          log.push("beforeEnd");
          asked.open();
          return gate.promise;
        };
        const hooks = { beforeHeaders: note("beforeHeaders"), writeHeaders: note("writeHeaders"), beforeEnd };
        holdResponse(res, hooksOf(res, hooks));
        res.write("second ");
        res.end("last");
        assert.equal(res.writableEnded, false);
      });
      const exchange = await tested.request();
      await asked.promise;
      await exchange.contains("second ");
      await tested.fence(exchange);
      assert.equal(exchange.answer().body, "first second ");
      gate.open();
      const answer = await exchange.finished;
      assert.equal(answer.body, "first second last");
      assert.equal(answer.complete, true);
      assert.deepEqual(log, ["beforeEnd"]);
    });

    test("a hold put on an ended response does nothing", async () => {
      const exchange = await handle((_req, res) => {
        res.end("text");
        const names = Object.getOwnPropertyNames(res);
        holdResponse(res, hooksOf(res, { beforeEnd: () => assert.fail() }));
        assert.deepEqual(Object.getOwnPropertyNames(res), names);
      }).request();
      assert.equal((await exchange.finished).body, "text");
    });

    test("two holds of one response both commit, each once", async () => {
      for (const wait of [() => undefined, () => new Promise<void>((resolve) => setImmediate(resolve))]) {
        const log: string[] = [];
        const hooksNamed = (res: ServerResponse, name: string): HoldHooks => ({
          beforeHeaders: () => {
            log.push(`${name} commits`);
            return wait();
          },
          writeHeaders: () => {
            log.push(`${name} writes`);
            res.appendHeader("Set-Cookie", `${name}=1`);
          },
          beforeEnd: () => wait(),
          failed: (error) => assert.fail(inspect(error)),
        });
        const { body, headers } = await handle((_req, res) => {
          holdResponse(res, hooksNamed(res, "inner"));
          holdResponse(res, hooksNamed(res, "outer"));
          res.write("one ");
          res.end("two");
        }).get();
        assert.equal(body, "one two");
        assert.deepEqual(
          headers.filter((line) => line.startsWith("set-cookie")),
          ["set-cookie: inner=1", "set-cookie: outer=1"],
        );
        assert.deepEqual(log, ["outer commits", "inner commits", "outer writes", "inner writes"]);
      }
    });

    test("concurrent responses don't wait for each other's commits", async () => {
      const gates = new Map([
        ["/a", new Gate()],
        ["/b", new Gate()],
      ]);
      const tested = handle((req, res) => {
        holdResponse(res, hooksOf(res, { beforeHeaders: () => gates.get(req.url ?? "")?.promise }));
        res.end(req.url);
      });
      const [a, b] = [await tested.request("/a"), await tested.request("/b")];
      gates.get("/b")?.open();
      assert.equal((await b.finished).body, "/b");
      assert.equal(a.arrived(), 0);
      gates.get("/a")?.open();
      assert.equal((await a.finished).body, "/a");
    });

    test("an inspected response shows nothing of the session", async () => {
      await handle((_req, res) => {
        const secret = { token: "do-not-show" };
        holdResponse(res, { ...hooksOf(res), secret } as HoldHooks);
        assert.doesNotMatch(inspect(res, { depth: 10, showHidden: true }), /do-not-show/);
        res.end();
      }).get();
    });
  });
}

interface Described {
  name: string;
  code: unknown;
  message: string;
}

function described(error: unknown): Described {
  if (!(error instanceof Error)) return { name: "none", code: "none", message: String(error) };
  return { name: error.name, code: "code" in error ? error.code : undefined, message: error.message };
}

test("the file that is piped is longer than one chunk", () => {
  assert.ok(FILE_TEXT.length > 512);
});

/** The methods that a response refuses once its headers were sent. */
function headerMethods(res: ServerResponse): Record<string, unknown> {
  const names = ["setHeader", "setHeaders", "appendHeader", "removeHeader"] as const;
  return Object.fromEntries(names.map((name) => [name, Reflect.get(res, name)]));
}
