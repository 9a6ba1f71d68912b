import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Any, type Browser, countVisits, express, inTime, kinds, listen, load, natives } from "./world.ts";

const { MemoryStore } = load("sojourn/express-session");

/** Another library's hold on the time. */
export interface FakeTime {
  /** Moves on by this many milliseconds. */
  advance(ms: number): void;
  restore(): void;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** So that both ends are the same on all kinds of sessions. */
const likewise: Record<string, object> = {
  "as the drop-in": { cookie: { maxAge: 30 * MINUTE_MS }, rolling: true },
  "by express-session": { cookie: { maxAge: 30 * MINUTE_MS }, rolling: true },
};

/** What an application's test does with the time: it moves it, to see that its sessions end. Nothing may hang meanwhile. */
export function fakeTimeSuite(name: string, install: () => FakeTime): void {
  // Not by t.after: what is closed after a test is to have the real time.
  const faked = async (use: (time: FakeTime) => Promise<void>): Promise<void> => {
    const time = install();
    try {
      await use(time);
    } finally {
      time.restore();
    }
  };
  const counting = (app: Any) => app.get("/", (req: Any, res: Any) => res.send(String(countVisits(req.session))));

  for (const [kind, open] of Object.entries(kinds)) {
    describe(`${name} with sessions ${kind}`, () => {
      const lives = async (browser: Browser, time: FakeTime, visits: number) => {
        for (const passed of [0, 1, 2]) {
          assert.equal((await browser.get("/")).text, String(visits + passed));
          time.advance((passed < 2 ? 29 : 31) * MINUTE_MS);
        }
        assert.equal((await browser.get("/")).text, "1");
      };

      test("installed before the sessions are made: a session lives as long as it is used, and ends then", (t) =>
        faked(async (time) => lives(await listen(t, express(open(t, likewise[kind]), counting)), time, 1)));

      test("installed after the sessions are made: a session lives as long as it is used, and ends then", async (t) => {
        const browser = await listen(t, express(open(t, likewise[kind]), counting));
        assert.equal((await browser.get("/")).text, "1");
        await faked((time) => lives(browser, time, 2));
      });
    });
  }

  for (const [kind, open] of Object.entries(natives)) {
    test(`${name}: a login that is remembered for 30 days (${kind})`, async (t) => {
      const sessions = open(t);
      const app = express(sessions, (app) => {
        app.post("/login", async (req: Any, res: Any) => {
          await req.session.login("ada", { remember: "30d" });
          res.send("in");
        });
        app.get("/", (req: Any, res: Any) => res.send(String(req.session.userId)));
      });
      const browser = await listen(t, app);
      await faked(async (time) => {
        await browser.ask("/login", { method: "POST" });
        time.advance(29 * DAY_MS);
        assert.equal((await browser.get("/")).text, "ada");
        assert.equal((await sessions.list("ada")).length, 1);
        time.advance(2 * DAY_MS);
        assert.equal((await browser.get("/")).text, "null");
        assert.deepEqual(await sessions.list("ada"), []);
      });
    });

    test(`${name}: parallel requests are served, and all of their changes kept (${kind})`, async (t) => {
      const app = express(open(t), (app) => {
        app.get("/add/:name", async (req: Any, res: Any) => {
          await req.session.update((session: Any) => {
            session.names = [...(session.names ?? []), req.params.name];
          });
          res.send("added");
        });
        app.get("/", (req: Any, res: Any) => res.json(req.session.names));
      });
      const browser = await listen(t, app);
      await faked(async () => {
        await browser.get("/add/first");
        await Promise.all(["a", "b", "c", "d"].map((name) => browser.get(`/add/${name}`)));
        assert.deepEqual(JSON.parse((await browser.get("/")).text).sort(), ["a", "b", "c", "d", "first"]);
      });
    });
  }

  test(`${name}: the drop-in's MemoryStore answers`, () =>
    faked(async () => {
      const { promisify } = load("node:util");
      const store = new MemoryStore();
      const { get, set } = { get: promisify(store.get.bind(store)), set: promisify(store.set.bind(store)) };
      await inTime(set("id", { cookie: { originalMaxAge: null }, n: 1 }), "set() gave no answer");
      assert.equal((await inTime<Any>(get("id"), "get() gave no answer")).n, 1);
    }));
}
