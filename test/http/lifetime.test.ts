import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IndexedStore } from "../../src/contract/store.ts";
import { duration } from "../../src/session/timeouts.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { parseSetCookie } from "../support/set-cookie.ts";
import { type Handler, type SiteOptions, site } from "../support/site.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Says what is in the session; changes it as the path says. */
const handler: Handler = async (req, res) => {
  const { session } = req;
  const url = new URL(req.url ?? "/", "http://localhost");
  switch (url.pathname) {
    case "/set":
      Object.assign(session, { n: url.searchParams.get("n") ?? "1" });
      break;
    case "/login":
      await session.login("alice", {
        remember: url.searchParams.has("remember") && duration(`${url.searchParams.get("remember")}`),
      });
      break;
    case "/persist":
      await session.persist(url.searchParams.has("for") && duration(`${url.searchParams.get("for")}`));
      break;
    case "/regenerate":
      await session.regenerate({ keep: true });
      break;
  }
  res.end(JSON.stringify({ data: session, isNew: session.isNew, userId: session.userId }));
};

/** Years pass at once: nothing that is due in between is done. */
class TimerlessClock extends ManualClock {
  override after(): () => void {
    return () => {};
  }
}

const STORES: [string, (clock: ManualClock) => IndexedStore][] = [
  ["memory", (clock) => new MemoryStore({ clock })],
  ["SQLite", (clock) => new SqliteStore(":memory:", { clock })],
];

for (const [name, open] of STORES) {
  describe(`lifetimes to the millisecond, over ${name}`, () => {
    function start(t: { after(action: () => unknown): void }, options: SiteOptions = {}) {
      const clock = new TimerlessClock();
      return site(t, { ...options, clock, store: open(clock) }, handler);
    }

    test("idle timeout: half an hour after the last use", async (t) => {
      const { visitor, clock } = await start(t);
      const alice = visitor();
      await alice.get("/set");
      clock.advance(30 * MINUTE - 1);
      assert.match((await alice.get()).text, /"n":"1"/, "one millisecond before");
      clock.advance(30 * MINUTE - 1);
      assert.match((await alice.get()).text, /"n":"1"/, "use begins it anew");
      clock.advance(30 * MINUTE);
      assert.match((await alice.get()).text, /"data":\{\},"isNew":true/, "at its end");
    });

    test("idle timeout: also if nothing but unread requests came", async (t) => {
      const clock = new TimerlessClock();
      const { visitor } = await site(t, { clock, store: open(clock) }, (req, res) => {
        if (req.url === "/set") Object.assign(req.session, { n: 1 });
        res.end(req.url === "/unread" ? "" : JSON.stringify(req.session));
      });
      const alice = visitor();
      await alice.get("/set");
      for (let i = 0; i < 5; i += 1) {
        clock.advance(29 * MINUTE);
        await alice.get("/unread");
      }
      assert.equal((await alice.get()).text, '{"n":1}', "a request is a use, read or not");
      clock.advance(30 * MINUTE);
      await alice.get("/unread");
      assert.equal((await alice.get()).text, "{}");
    });

    test("absolute timeout: twelve hours after the beginning, however much it is used", async (t) => {
      const { visitor, clock } = await start(t);
      const alice = visitor();
      await alice.get("/set");
      for (let minutes = 20; minutes < 12 * 60; minutes += 20) {
        clock.advance(20 * MINUTE);
        const path = minutes % 60 === 0 ? "/regenerate" : minutes % 40 === 0 ? `/set?n=${minutes}` : "/";
        assert.match((await alice.get(path)).text, /"isNew":(false|true).*null/);
        assert.match((await alice.get()).text, /"isNew":false/, `after ${minutes} minutes`);
      }
      clock.advance(20 * MINUTE - 1);
      assert.match((await alice.get()).text, /"isNew":false/, "one millisecond before");
      clock.advance(1);
      assert.match((await alice.get()).text, /"isNew":true/, "at its end");
    });

    test("timeouts can be turned off", async (t) => {
      const { visitor, clock } = await start(t, { idleTimeout: false, absoluteTimeout: false });
      const alice = visitor();
      await alice.get("/set");
      clock.set(clock.now() + 20 * 365 * DAY);
      assert.match((await alice.get()).text, /"n":"1"/);
    });

    test("remember me: the cookie outlives the browser, and both end exactly then, however idle", async (t) => {
      const { visitor, clock } = await start(t);
      const alice = visitor();
      const { setCookies } = await alice.get("/login?remember=3d");
      assert.equal(setCookies.length, 1);
      const { attributes } = parseSetCookie(setCookies[0] ?? "");
      assert.equal(attributes.get("max-age"), String(3 * 24 * 60 * 60));
      assert.equal(attributes.get("expires"), new Date(clock.now() + 3 * DAY).toUTCString());
      clock.advance(3 * DAY - 1);
      assert.match((await alice.get()).text, /"userId":"alice"/);
      clock.advance(1);
      assert.match((await alice.get()).text, /"userId":null/);
    });

    test("without remember me the cookie ends with the browser: no Max-Age, no Expires", async (t) => {
      const { visitor } = await start(t);
      const alice = visitor();
      for (const path of ["/set", "/login"]) {
        const { setCookies } = await alice.get(path);
        assert.equal(setCookies.length, 1);
        const { attributes } = parseSetCookie(setCookies[0] ?? "");
        assert.ok(!attributes.has("max-age") && !attributes.has("expires"), setCookies[0]);
      }
    });

    test("persist() and persist(false)", async (t) => {
      const { visitor, clock } = await start(t);
      const alice = visitor();
      await alice.get("/set");
      const token = alice.token;
      const { setCookies } = await alice.get("/persist?for=2d");
      assert.equal(parseSetCookie(setCookies[0] ?? "").attributes.get("max-age"), String(2 * 24 * 60 * 60));
      assert.equal(alice.token, token, "the same token, for longer");
      clock.advance(2 * DAY - 1);
      assert.match((await alice.get()).text, /"n":"1"/);
      const back = await alice.get("/persist");
      const { attributes } = parseSetCookie(back.setCookies[0] ?? "");
      assert.ok(!attributes.has("max-age") && !attributes.has("expires"), "ends with the browser again");
      clock.advance(30 * MINUTE - 1);
      assert.match((await alice.get()).text, /"n":"1"/, "and by the idle timeout");
      clock.advance(30 * MINUTE);
      assert.match((await alice.get()).text, /"isNew":true/);
    });

    test("only whole milliseconds are stored, whatever fraction a duration has", async (t) => {
      const clock = new TimerlessClock();
      const store = open(clock);
      const { visitor } = await site(
        t,
        { clock, store, idleTimeout: "0.33333m", absoluteTimeout: 1e6 / 3, touchAfter: 0.5 },
        handler,
      );
      const alice = visitor();
      for (const path of ["/set", "/set?n=2", "/login?remember=0.12345678d", "/persist?for=10000.5ms", "/persist"]) {
        assert.equal((await alice.get(path)).status, 200, path);
        clock.advance(100);
        assert.match((await alice.get()).text, /"isNew":false/);
        const { sessions } = await store.list({});
        for (const { createdAt, touchedAt, expiresAt } of sessions) {
          for (const time of [createdAt, touchedAt, expiresAt]) assert.ok(Number.isInteger(time), `${path}: ${time}`);
        }
      }
    });
  });
}

test("a deadline in the store is honoured even where today's options allow more (CVE-2024-35220)", async (t) => {
  const clock = new TimerlessClock();
  const store = new MemoryStore({ clock });
  const short = await site(t, { clock, store, idleTimeout: "1m" }, handler);
  const long = await site(t, { clock, store, idleTimeout: "10h" }, handler);
  const alice = short.visitor();
  await alice.get("/set");
  const elsewhere = long.visitor();
  for (const [name, value] of alice.cookies) elsewhere.cookies.set(name, value);
  clock.advance(MINUTE);
  assert.match((await elsewhere.get()).text, /"isNew":true/);
});

test("timeouts that were shortened since apply at once", async (t) => {
  const clock = new TimerlessClock();
  const store = new MemoryStore({ clock });
  const before = await site(t, { clock, store, idleTimeout: "10h", absoluteTimeout: "20h" }, handler);
  const idle = await site(t, { clock, store, idleTimeout: "5m" }, handler);
  const absolute = await site(t, { clock, store, absoluteTimeout: "5m" }, handler);
  for (const now of [idle, absolute]) {
    const alice = before.visitor();
    await alice.get("/set");
    const moved = now.visitor();
    for (const [name, value] of alice.cookies) moved.cookies.set(name, value);
    clock.advance(5 * MINUTE - 1);
    assert.match((await moved.clone().get()).text, /"isNew":false/);
    clock.advance(now === absolute ? 1 : 5 * MINUTE);
    assert.match((await moved.get()).text, /"isNew":true/);
  }
});

test("a clock that goes backwards ends no session early and lengthens none beyond its absolute end", async (t) => {
  const clock = new TimerlessClock();
  const { visitor } = await site(t, { clock, store: new MemoryStore({ clock }), idleTimeout: "10h" }, handler);
  const alice = visitor();
  const began = clock.now();
  await alice.get("/set");
  clock.set(began + 2 * HOUR);
  await alice.get("/set?n=2");
  clock.set(began + HOUR);
  assert.match((await alice.get("/set?n=3")).text, /"isNew":false/);
  assert.match((await alice.get()).text, /"n":"3"/);
  clock.set(began - HOUR);
  assert.match((await alice.get()).text, /"n":"3"/);
  clock.set(began + 8 * HOUR);
  assert.match((await alice.get()).text, /"n":"3"/);
  clock.set(began + 12 * HOUR);
  assert.match((await alice.get()).text, /"isNew":true/);
});

describe("a cookie's lifetime", () => {
  test("is clamped to 400 days, the session's own is not", async (t) => {
    const { visitor } = await site(t, {}, async (req, res) => {
      if (req.url === "/login") await req.session.login("alice", { remember: "3650d" });
      res.end(String(req.session.expiresAt.getTime() - req.session.createdAt.getTime()));
    });
    const alice = visitor();
    const { setCookies, text } = await alice.get("/login");
    assert.equal(parseSetCookie(setCookies[0] ?? "").attributes.get("max-age"), "34560000");
    assert.equal(text, String(3_650 * DAY));
  });

  test("counts from the moment that the cookie is sent", async (t) => {
    const clock = new TimerlessClock();
    const { visitor } = await site(t, { clock }, async (req, res) => {
      await req.session.login("alice", { remember: "1d" });
      clock.advance(10_000);
      res.end();
    });
    const { setCookies } = await visitor().get();
    assert.equal(parseSetCookie(setCookies[0] ?? "").attributes.get("max-age"), String(24 * 60 * 60 - 10));
  });
});
