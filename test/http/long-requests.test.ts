import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";
import { type Cleanup, type Handler, type Site, type SiteOptions, site, type Visitor } from "../support/site.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

const STORES: [string, (clock: ManualClock) => NonNullable<SiteOptions["store"]>][] = [
  ["memory", (clock) => new MemoryStore({ clock, acceptLossOnRestart: true })],
  [
    "an asynchronous store",
    (clock) =>
      wrapStore(new MemoryStore({ clock, acceptLossOnRestart: true }), {
        around: async (_operation, call) => call(),
        synchronousLoad: false,
      }),
  ],
  ["SQLite", (clock) => new SqliteStore(":memory:", { clock })],
  ["sealed", () => new SealedStore({ secret: SECRET })],
];
/** A request whose handler waits until the test lets it go on. */
class Gate {
  readonly arrived: Promise<void>;
  readonly released: Promise<void>;
  arrive = (): void => {};
  release = (): void => {};

  constructor() {
    this.arrived = new Promise((resolve) => {
      this.arrive = resolve;
    });
    this.released = new Promise((resolve) => {
      this.release = resolve;
    });
  }
}

/** In steps, as time does pass: what is begun meanwhile gets done. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    clock.advance(50);
    for (let i = 0; i < 3; i += 1) await turn();
  }
}

for (const [name, make] of STORES) {
  describe(`a request that takes longer than the idle timeout, over ${name}`, () => {
    async function begun(t: Cleanup, options = {}, slow: Handler = (req, res) => res.end(JSON.stringify(req.session))) {
      const clock = new ManualClock();
      const gate = new Gate();
      const handler: Handler = async (req, res) => {
        if (req.url === "/begin") {
          await req.session.login("alice");
          Object.assign(req.session, { n: 1 });
          return res.end();
        }
        if (req.url === "/logout") {
          await req.session.logout();
          return res.end();
        }
        if (req.url === "/now") return res.end(`${req.session.userId} ${JSON.stringify(req.session)}`);
        if (req.url === "/read") void req.session.userId;
        gate.arrive();
        await gate.released;
        return slow(req, res);
      };
      const one: Site = await site(
        t,
        { store: make(clock), secret: SECRET, idleTimeout: 1_000, clock, ...options },
        handler,
      );
      const visitor: Visitor = one.visitor();
      await visitor.get("/begin");
      return { ...one, clock, gate, visitor };
    }

    const write: Handler = (req, res) => {
      Object.assign(req.session, { n: 2 });
      res.end(String(req.session.userId));
    };

    for (const [when, path] of [
      ["first", "/read"],
      ["only at the end", "/unread"],
    ] as const) {
      test(`that reads its session ${when} finds it, and its write is kept`, async (t) => {
        const { clock, gate, visitor } = await begun(t, {}, write);
        await pass(clock, 900);
        const slow = visitor.post(path);
        await gate.arrived;
        await pass(clock, 2_400);
        gate.release();
        const answer = await slow;
        assert.equal(answer.status, 200);
        assert.equal(answer.text, "alice");
        assert.equal((await visitor.get("/now")).text, 'alice {"n":2}');
        await pass(clock, 1_000);
        assert.equal((await visitor.get("/now")).text, "null {}", "idle since that");
      });
    }

    test("does not bring back a session past its absolute timeout", async (t) => {
      const { clock, gate, visitor } = await begun(t, { absoluteTimeout: 2_000 }, (req, res) => {
        Object.assign(req.session, { n: 2 });
        res.end();
      });
      const slow = visitor.post("/read");
      await gate.arrived;
      await pass(clock, 2_400);
      gate.release();
      await slow;
      assert.equal((await visitor.get("/now")).text, "null {}");
    });

    if (name !== "sealed") {
      test("does not bring back a session that was ended meanwhile", async (t) => {
        const { clock, gate, visitor, sessions } = await begun(t, {}, write);
        const other = visitor.clone();
        const slow = visitor.post("/read");
        await gate.arrived;
        await pass(clock, 700);
        await other.get("/logout");
        await pass(clock, 2_000);
        gate.release();
        await slow;
        assert.equal((await visitor.get("/now")).text, "null {}");
        assert.equal(await sessions.count(), 0);
      });

      test("and whose client has gone keeps no session alive", async (t) => {
        const { clock, gate, visitor, port } = await begun(t, {}, write);
        const req = http.request({ port, path: "/read", method: "POST", headers: { cookie: `sid=${visitor.token}` } });
        req.on("error", () => {});
        req.end();
        await gate.arrived;
        req.destroy();
        for (let i = 0; i < 50; i += 1) await turn();
        await pass(clock, 2_400);
        assert.equal((await visitor.get("/now")).text, "null {}");
        gate.release();
      });
    }
  });
}
