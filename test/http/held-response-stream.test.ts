import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { pipeline, Readable } from "node:stream";
import { pipeline as pipelinePromise } from "node:stream/promises";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import type { HoldHooks } from "../../src/http/held-response/hooks.ts";
import { holdResponse } from "../../src/http/held-response.ts";
import { type Exchange, Gate, type Handler, PROTOCOLS, serve, type TestServer } from "../support/raw-client.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const noop = () => undefined;

function hooksOf(own: Partial<HoldHooks>): HoldHooks {
  return {
    beforeHeaders: noop,
    writeHeaders: noop,
    beforeEnd: noop,
    failed: (error) => assert.fail(inspect(error)),
    ...own,
  };
}

const MIB = 1024 * 1024;

for (const protocol of PROTOCOLS) {
  describe(`a held stream, ${protocol}`, () => {
    let served: TestServer;
    let handler: Handler = noop;
    const unexpected: unknown[] = [];
    const onUnexpected = (error: unknown) => void unexpected.push(error);

    before(async () => {
      served = await serve(protocol, (req, res) => handler(req, res));
      process.on("unhandledRejection", onUnexpected);
      process.on("uncaughtException", onUnexpected);
    });
    after(async () => {
      await served.close();
      await turn();
      process.off("unhandledRejection", onUnexpected);
      process.off("uncaughtException", onUnexpected);
      assert.deepEqual(unexpected, []);
    });
    const request = (own: Handler, method = "GET"): Promise<Exchange> => {
      handler = own;
      return served.request("/", method);
    };

    test("flows once it is committed: the first chunk is there before the last is written", async () => {
      const gate = new Gate();
      const last = new Gate();
      const exchange = await request((_req, res) => {
        holdResponse(res, hooksOf({ beforeHeaders: () => gate.promise }));
        res.write("first ");
        last.promise.then(() => res.end("last"));
      });
      gate.open();
      await exchange.contains("first ");
      assert.equal(exchange.answer().body, "first ");
      last.open();
      assert.equal((await exchange.finished).body, "first last");
    });

    test("server-sent events behind flushHeaders", async () => {
      const gate = new Gate();
      const sent: ServerResponse[] = [];
      const exchange = await request((_req, res) => {
        holdResponse(res, hooksOf({ beforeHeaders: () => gate.promise }));
        res.setHeader("Content-Type", "text/event-stream");
        res.flushHeaders();
        sent.push(res);
      });
      gate.open();
      while (exchange.answer().status === 0) await turn();
      for (const event of ["data: 1\n\n", "data: 2\n\n"]) {
        assert.equal(sent[0]?.write(event), true);
        await exchange.contains(event);
      }
      sent[0]?.end();
      assert.equal((await exchange.finished).complete, true);
    });

    test("a writer is told to wait, and to go on after the commit", async () => {
      // Node's HTTP/2 wakes nobody after HEAD, held or not.
      for (const method of protocol === "http1" ? ["GET", "HEAD"] : ["GET"]) {
        const gate = new Gate();
        const told: boolean[] = [];
        const exchange = await request((_req, res) => {
          holdResponse(res, hooksOf({ beforeHeaders: () => gate.promise }));
          told.push(res.write("one "), res.write("two "));
          res.once("drain", () => {
            told.push(res.write("three "));
            res.end();
          });
          setImmediate(gate.open);
        }, method);
        assert.equal((await exchange.finished).body, method === "GET" ? "one two three " : "");
        assert.deepEqual(told, [false, false, true]);
      }
    });

    test("a writer is not woken by the commit while the client does not read", async () => {
      const gate = new Gate();
      const begun = new Gate();
      let woken = 0;
      const exchange = await request((_req, res) => {
        begun.open();
        holdResponse(res, hooksOf({ beforeHeaders: () => gate.promise }));
        res.write("x".repeat(16 * MIB));
        res.once("drain", () => {
          woken++;
          res.end();
        });
      });
      exchange.pause();
      await begun.promise;
      gate.open();
      for (let i = 0; i < 10; i++) await served.fence(exchange);
      assert.equal(woken, 0);
      exchange.resume();
      assert.equal((await exchange.finished).body.length, 16 * MIB);
      assert.equal(woken, 1);
    });

    test("nobody is woken after the end", async () => {
      const gate = new Gate();
      let woken = 0;
      const exchange = await request((_req, res) => {
        holdResponse(res, hooksOf({ beforeHeaders: () => gate.promise }));
        res.on("drain", () => woken++);
        res.write("one ");
        res.end("two");
        gate.open();
      });
      await exchange.finished;
      await turn();
      assert.equal(woken, 0);
    });

    test("order is kept between what waited and what came after", async () => {
      const gate = new Gate();
      const exchange = await request((_req, res) => {
        holdResponse(res, hooksOf({ beforeHeaders: () => gate.promise, beforeEnd: () => turn() }));
        for (let i = 0; i < 100; i++) res.write(`${i} `);
        gate.open();
        gate.promise.then(() => {
          for (let i = 100; i < 200; i++) res.write(`${i} `);
          res.end("end");
        });
      });
      const expected = `${Array.from({ length: 200 }, (_, i) => i).join(" ")} end`;
      assert.equal((await exchange.finished).body, expected);
    });

    /** Produces as fast as it is asked to; counts what it gave. */
    function source(size: number): { stream: Readable; given: () => number } {
      let given = 0;
      const stream = new Readable({
        read() {
          if (given >= size) {
            this.push(null);
            return;
          }
          given += 16_384;
          this.push(Buffer.alloc(16_384, "x"));
        },
      });
      return { stream, given: () => given };
    }

    const PUMPS: Record<string, (from: Readable, res: ServerResponse) => unknown> = {
      pipe: (from, res) => from.pipe(res),
      pipeline: (from, res) => pipeline(from, res, noop),
      "pipeline of an iterable": (from, res) => pipelinePromise(from[Symbol.asyncIterator](), res),
      "write and drain": async (from, res) => {
        for await (const chunk of from) if (!res.write(chunk)) await once(res, "drain");
        res.end();
      },
    };
    for (const [name, pump] of Object.entries(PUMPS)) {
      test(`${name}: back-pressure holds before the commit and after it`, async () => {
        const gate = new Gate();
        const begun = new Gate();
        const { stream, given } = source(16 * MIB);
        const exchange = await request((_req, res) => {
          const beforeHeaders = () => {
            begun.open();
            return gate.promise;
          };
          holdResponse(res, hooksOf({ beforeHeaders }));
          pump(stream, res);
        });
        exchange.pause();
        await begun.promise;
        await served.fence(exchange);
        assert.ok(given() <= MIB / 4, `${given()} bytes were taken from the source before the commit`);
        gate.open();
        // Some of it flows; when the buffers on the way are full, the source must stand still although there is more.
        const taken = given();
        for (let before = -1; before !== given() || given() === taken; ) {
          before = given();
          for (let i = 0; i < 20; i++) await served.fence(exchange);
        }
        assert.ok(given() < 16 * MIB, "the whole source was buffered");
        exchange.resume();
        const answer = await exchange.finished;
        assert.equal(answer.complete, true);
        assert.equal(answer.body.length, 16 * MIB);
      });
    }

    test("the end waits for what changed while it streamed", async () => {
      for (const wait of ["before the commit", "after it"]) {
        const headers = new Gate();
        const end = new Gate();
        const asked = new Gate();
        const log: string[] = [];
        const exchange = await request((_req, res) => {
          const beforeEnd = () => {
            log.push("beforeEnd");
            asked.open();
            return end.promise;
          };
          holdResponse(res, hooksOf({ beforeHeaders: () => headers.promise, beforeEnd }));
          res.write("text");
          const finish = () => {
            res.end(() => log.push("ended"));
            log.push(`writableEnded ${res.writableEnded}`);
          };
          if (wait === "before the commit") finish();
          else headers.promise.then(finish);
          headers.open();
        });
        await asked.promise;
        await exchange.contains("text");
        await served.fence(exchange);
        assert.equal(exchange.answer().complete, false);
        end.open();
        assert.equal((await exchange.finished).complete, true);
        assert.deepEqual(log.sort(), ["beforeEnd", "ended", "writableEnded false"]);
      }
    });

    test("the end is asked once, and not at all when it is all there is", async () => {
      for (const [send, expected] of [
        [(res: ServerResponse) => res.end("text"), 0],
        [(res: ServerResponse) => res.writeHead(200).end("text"), 1],
        [(res: ServerResponse) => [res.write("text"), res.end(), res.end()], 1],
      ] as const) {
        for (const wait of [undefined, Promise.resolve()]) {
          let ends = 0;
          const exchange = await request((_req, res) => {
            const beforeEnd = () => {
              ends++;
              return wait;
            };
            holdResponse(res, hooksOf({ beforeHeaders: () => wait, beforeEnd }));
            send(res);
          });
          assert.equal((await exchange.finished).body, "text");
          assert.equal(ends, expected);
        }
      }
    });

    test("a commit that fails at the end cuts the response off", async () => {
      const outage = new Error("the store is out");
      const fails = [
        () => Promise.reject(outage),
        () => {
          throw outage;
        },
      ];
      for (const beforeEnd of fails) {
        for (const wait of [undefined, Promise.resolve()]) {
          const failed: unknown[] = [];
          const responses: ServerResponse[] = [];
          const exchange = await request((_req, res) => {
            responses.push(res);
            let isInside = true;
            const hooks = {
              beforeHeaders: () => wait,
              beforeEnd,
              failed: (error: unknown) => failed.push(error, isInside),
            };
            holdResponse(res, hooksOf(hooks));
            res.write("text ");
            Reflect.apply(res.end, res, ["last", (error: unknown) => failed.push(error)]);
            isInside = false;
          });
          const answer = await exchange.finished;
          assert.equal(answer.complete, false);
          assert.ok(!answer.body.includes("last"));
          // Its handler may not have noticed.
          const [res] = responses.splice(0);
          assert.equal(res?.write("more"), false);
          assert.equal(res?.end("more"), res);
          await turn();
          assert.deepEqual(failed, [outage, false, outage]);
        }
      }
    });

    test("what waited when a commit failed is told so, and goes nowhere", async () => {
      const outage = new Error("the store is out");
      const told: unknown[] = [];
      const exchange = await request((_req, res) => {
        const { stream } = source(MIB);
        let hasFailed = false;
        const failed = (error: unknown) => {
          hasFailed = true;
          told.push(error);
          res.statusCode = 503;
          res.end("out");
          // The failed answer's handler goes on as if nothing had happened.
          assert.equal(
            res.write("more", (reason) => told.push(reason)),
            false,
          );
          assert.equal(res.end("more"), res);
        };
        holdResponse(
          res,
          hooksOf({ beforeHeaders: () => (hasFailed ? undefined : turn().then(() => Promise.reject(outage))), failed }),
        );
        res.on("error", onUnexpected);
        res.write("one ", (reason) => told.push(reason));
        stream.pipe(res);
      });
      const answer = await exchange.finished;
      assert.deepEqual([answer.status, answer.body, answer.complete], [503, "out", true]);
      assert.deepEqual(told, [outage, outage, outage]);
    });

    const GOING_ON: Record<string, (res: ServerResponse) => Promise<void>> = {
      "goes on writing": async (res) => {
        for (let i = 0; i < 5; i++) {
          res.write("text");
          await turn();
        }
        res.end();
      },
      "begins again with a head": async (res) => {
        res.write("text");
        for (let i = 0; i < 5; i++) await turn();
        assert.equal(res.writeHead(200, { "Content-Type": "text/plain" }), res);
        res.end("saved");
      },
    };
    for (const [what, goOn] of Object.entries(GOING_ON)) {
      test(`a handler that ${what} cannot make a success of it while the error handler thinks`, async () => {
        const exchange = await request((_req, res) => {
          let hasFailed = false;
          const failed = async () => {
            hasFailed = true;
            for (let i = 0; i < 10; i++) await turn();
            res.writeHead(503).end("out");
          };
          holdResponse(
            res,
            hooksOf({ beforeHeaders: () => (hasFailed ? undefined : Promise.reject(new Error("out"))), failed }),
          );
          goOn(res);
        });
        const answer = await exchange.finished;
        assert.deepEqual([answer.status, answer.body, answer.complete], [503, "out", true]);
        assert.ok(!answer.headers.some((line) => line.startsWith("content-type")));
      });
    }

    test("an error handler that says nothing but a text is heard", async () => {
      const exchange = await request((_req, res) => {
        let hasFailed = false;
        const failed = () => {
          hasFailed = true;
          res.end("out");
        };
        holdResponse(
          res,
          hooksOf({ beforeHeaders: () => (hasFailed ? undefined : Promise.reject(new Error("out"))), failed }),
        );
        res.end("text");
      });
      assert.equal((await exchange.finished).body, "out");
    });

    test("an error page that streams gets nothing of the answer that failed", async () => {
      const exchange = await request((_req, res) => {
        let hasFailed = false;
        const failed = () => {
          hasFailed = true;
          res.statusCode = 503;
          Readable.from(["e".repeat(MIB), "e".repeat(MIB)]).pipe(res);
        };
        holdResponse(
          res,
          hooksOf({ beforeHeaders: () => (hasFailed ? undefined : Promise.reject(new Error("out"))), failed }),
        );
        source(4 * MIB).stream.pipe(res);
      });
      assert.equal((await exchange.finished).body, "e".repeat(2 * MIB));
    });

    test("a client that goes at any moment harms nothing, and every commit that began is finished", async () => {
      const sends: ((res: ServerResponse) => unknown)[] = [
        (res) => res.end("text"),
        (res) => res.writeHead(200, { "Content-Length": 4 }).end("text", noop),
        (res) => {
          res.write("text", noop);
          setImmediate(() => res.end(noop));
        },
        (res) => pipeline(source(MIB).stream, res, noop),
        (res) => res.flushHeaders(),
      ];
      let random = 1; // a fixed sequence: every run is the same
      const upTo = (limit: number) => {
        random = (random * 48_271) % 2_147_483_647;
        return random % limit;
      };
      const counts = { begun: 0, finished: 0, failed: 0 };
      const turns = async (count: number) => {
        for (let i = 0; i < count; i++) await turn();
      };
      const commit = async (outcome: number) => {
        counts.begun++;
        await turns(outcome);
        counts.finished++;
        if (outcome === 5) throw new Error("out");
      };
      for (let i = 0; i < 150; i++) {
        const settled = new Gate();
        const entered = new Gate();
        const exchange = await request((_req, res) => {
          entered.open();
          const outcome = upTo(6);
          const failed = () => {
            counts.failed++;
            if (!res.headersSent) res.end("failed");
          };
          let first = true;
          const beforeHeaders = () => {
            if (!first) return undefined;
            first = false;
            return commit(outcome);
          };
          holdResponse(res, hooksOf({ beforeHeaders, beforeEnd: () => commit(upTo(6)), failed }));
          res.on("close", settled.open);
          sends[i % sends.length]?.(res);
        });
        await entered.promise;
        await turns(upTo(12));
        exchange.abort();
        await settled.promise;
      }
      while (counts.finished < counts.begun) await turn();
      assert.ok(counts.begun >= 100 && counts.failed > 0, inspect(counts));
    });
  });
}
