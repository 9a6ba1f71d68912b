import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import connect from "connect";
import express from "express";
import { type SessionOptions, type Sessions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Cleanup, hasSession, listen, site } from "../support/site.ts";

type Host = (
  sessions: Sessions,
  handler: (req: IncomingMessage, res: ServerResponse) => unknown,
) => {
  listener: (req: IncomingMessage, res: ServerResponse) => void;
  /** How often `next` was called for each request. */
  calls: number[];
};

/** Hosts that take `next` once for each request, in the ways of well-known ones. */
const HOSTS: Record<string, Host> = {
  "a callback": (sessions, handler) => {
    const calls: number[] = [];
    return {
      calls,
      listener: (req, res) => {
        const mine = calls.push(0) - 1;
        sessions(req, res, (error) => {
          calls[mine] = (calls[mine] ?? 0) + 1;
          if (error === undefined) handler(req, res);
        });
      },
    };
  },
  // As koa-connect does it.
  "a promise": (sessions, handler) => {
    const calls: number[] = [];
    return {
      calls,
      listener: (req, res) => {
        const mine = calls.push(0) - 1;
        new Promise<void>((resolve, reject) => {
          sessions(req, res, (error) => {
            calls[mine] = (calls[mine] ?? 0) + 1;
            if (error === undefined) resolve();
            else reject(error);
          });
        }).then(() => handler(req, res));
      },
    };
  },
  // As @fastify/middie does it: one object for one request after the other, so a late call hits another one's.
  "a holder that is used again": (sessions, handler) => {
    const calls: number[] = [];
    let current: [IncomingMessage, ServerResponse] | undefined;
    const done = (error?: unknown) => {
      calls[calls.length - 1] = (calls.at(-1) ?? 0) + 1;
      if (current === undefined) throw new Error("next was called for a request that is over");
      const [req, res] = current;
      current = undefined;
      if (error === undefined) handler(req, res);
      else res.end("somebody else's error");
    };
    return {
      calls,
      listener: (req, res) => {
        calls.push(0);
        current = [req, res];
        sessions(req, res, done);
      },
    };
  },
  // An express application's own wrapper, which answers once.
  "a wrapper below Express": (sessions, handler) => {
    const calls: number[] = [];
    const app = express();
    app.set("env", "test");
    app.use((req, res, next) => {
      const mine = calls.push(0) - 1;
      new Promise<void>((resolve, reject) => {
        sessions(req, res, (error) => {
          calls[mine] = (calls[mine] ?? 0) + 1;
          if (error === undefined) resolve();
          else reject(error);
        });
      }).then(() => next(), next);
    });
    app.use((req, res) => handler(req, res));
    return { calls, listener: app };
  },
};

const FAILURES: Record<string, { probe: (probe: ProbeStore) => void; path: string; status: number }> = {
  "a store that is down": { probe: (probe) => probe.fail(new Error("down"), "create"), path: "/set", status: 503 },
  "a BigInt in the session": { probe: () => {}, path: "/bigint", status: 500 },
};

function handler(req: IncomingMessage, res: ServerResponse): void {
  hasSession(req);
  if (req.url === "/set") Object.assign(req.session, { n: 1 });
  if (req.url === "/bigint") Object.assign(req.session, { n: 1n });
  res.end("saved");
}

async function hosted(t: Cleanup, host: Host, async: boolean, options: Partial<SessionOptions> = {}) {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async });
  const sessions = session({ clock, store: probe.store, ...options });
  const { listener, calls } = host(sessions, handler);
  return { probe, calls, ...(await listen(t, createServer(listener), sessions)) };
}

describe("a commit that fails where next can be called once", () => {
  for (const [name, host] of Object.entries(HOSTS)) {
    for (const [what, { probe: breakIt, path, status }] of Object.entries(FAILURES)) {
      for (const async of [false, true]) {
        test(`${name}, ${what}, ${async ? "later" : "at once"}: its own 5xx, and nobody else's`, async (t) => {
          const { visitor, probe, calls } = await hosted(t, host, async);
          breakIt(probe);
          const [failed, other] = await Promise.all([visitor().get(path), visitor().get("/")]);
          assert.equal(failed.status, status);
          assert.doesNotMatch(failed.text, /^saved|somebody/);
          assert.deepEqual(failed.setCookies, []);
          assert.deepEqual([other.status, other.text], [200, "saved"]);
          assert.deepEqual(calls, [1, 1]);
        });
      }
    }
  }

  test("onError answers it, in any host, instead of everyone else", async (t) => {
    for (const host of Object.values(HOSTS)) {
      const seen: unknown[] = [];
      const { visitor } = await hosted(t, host, true, {
        onError: (error, req, res) => {
          seen.push(Object(error).code, req.url);
          res.statusCode = 507;
          res.end("mine");
        },
      });
      const answer = await visitor().get("/bigint");
      assert.deepEqual([answer.status, answer.text, seen], [507, "mine", ["NOT_SERIALIZABLE", "/bigint"]]);
    }
  });

  test("Express and Connect hand it to their error handlers", async (t) => {
    for (const [name, create] of [["connect", connect] as const, ["express", express] as const]) {
      const clock = new ManualClock();
      const sessions = session({ clock });
      const app = create();
      const seen: unknown[] = [];
      app.use(sessions);
      app.use((req: IncomingMessage, res: ServerResponse) => handler(req, res));
      app.use((error: unknown, _req: IncomingMessage, res: ServerResponse, _next: unknown) => {
        seen.push(Object(error).code);
        res.statusCode = 500;
        res.end("of the handler");
      });
      const { visitor } = await listen(t, createServer(app), sessions);
      assert.equal((await visitor().get("/bigint")).text, "of the handler", name);
      assert.deepEqual(seen, ["NOT_SERIALIZABLE"]);
    }
  });

  test("an option that is no function is refused", () => {
    assert.throws(
      () => Reflect.apply(session, undefined, [{ onError: "503" }]),
      /^TypeError: onError must be a function/,
    );
  });
});

describe("the error handler of a failed commit", () => {
  for (const async of [false, true]) {
    for (const turns of [0, 1, 20]) {
      test(`answers ${turns} turns later by a bare end(text), ${async ? "store answers later" : "at once"}`, async (t) => {
        const clock = new ManualClock();
        const probe = new ProbeStore(new MemoryStore({ clock }), { async });
        const sessions = session({ clock, store: probe.store });
        const app = express();
        app.use(sessions);
        app.use((req, res) => {
          Object.assign(req.session, { n: 1 });
          if (req.url === "/send") res.send("saved");
          else if (req.url === "/write") res.write("saved");
          else res.end("saved");
        });
        app.use(async (_error: unknown, _req: unknown, res: express.Response, _next: unknown) => {
          for (let i = 0; i < turns; i += 1) await turn();
          res.end("of order");
        });
        const { visitor } = await listen(t, createServer(app), sessions);
        for (const path of ["/end", "/send", "/write"]) {
          probe.fail(new Error("down"), "create");
          const { status, text, setCookies } = await visitor().get(path);
          assert.deepEqual([status, text, setCookies], [503, "of order", []], path);
        }
      });
    }
  }
});

describe("a session that is read where nobody could catch an error", () => {
  const modes = ["error", "anonymous"] as const;
  for (const onStoreError of modes) {
    for (const async of [false, true]) {
      test(`a log line at "finish", store ${async ? "later" : "at once"}, onStoreError "${onStoreError}"`, async (t) => {
        const clock = new ManualClock();
        const probe = new ProbeStore(new MemoryStore({ clock }), { async });
        const logged: unknown[] = [];
        const { visitor, sessions } = await site(
          t,
          { kind: "express5", clock, store: probe.store, onStoreError },
          async (req, res) => {
            res.on("finish", () => logged.push(req.session?.userId, req.session?.id, JSON.stringify(req.session)));
            if (req.url === "/login") await req.session.login("alice");
            if (req.url === "/close") await sessions.close();
            res.end("ok");
          },
        );
        const one = visitor();
        await one.get("/login");
        logged.length = 0;
        await one.get("/unread");
        assert.equal(logged[0], "alice", "whose session it was");
        probe.fail(new Error("down"), "load");
        logged.length = 0;
        await one.get("/unread");
        while (logged.length < 3 && !async) await turn();
        assert.ok(logged[0] === null || logged.length === 0);
        probe.heal();
        await one.get("/close");
        await turn();
      });
    }
  }

  test("what is written into it after the end is not saved, and breaks nothing", async (t) => {
    const { visitor, sessions } = await site(t, {}, async (req, res) => {
      if (req.url === "/late") {
        res.end("ok");
        await once(res, "finish");
        Object.assign(req.session, { late: 1 });
        return;
      }
      res.end(JSON.stringify(req.session));
    });
    const one = visitor();
    assert.equal((await one.get("/late")).setCookies.length, 0);
    await turn();
    assert.equal(await sessions.count(), 0);
    assert.equal((await one.get("/")).text, "{}");
  });
});
