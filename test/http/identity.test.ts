import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IndexedStore } from "../../src/contract/store.ts";
import { duration } from "../../src/session/timeouts.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Handler, KINDS, site } from "../support/site.ts";

/** A small shop, as a tutorial would write it. */
const shop: Handler = async (req, res) => {
  const url = new URL(req.url ?? "/", "http://localhost");
  const { session } = req;
  const redirect = (path: string) => res.writeHead(303, { location: path }).end();
  switch (`${req.method} ${url.pathname}`) {
    case "POST /cart": {
      const cart: unknown = Reflect.get(session, "cart");
      Object.assign(session, { cart: [...(Array.isArray(cart) ? cart : []), url.searchParams.get("item")] });
      session.flash("info", "added");
      return redirect("/");
    }
    case "POST /login":
      await session.login(url.searchParams.get("user") ?? "", {
        remember: url.searchParams.has("remember") && duration(`${url.searchParams.get("remember")}`),
      });
      req.session.flash("info", "hello");
      return redirect("/");
    case "POST /logout":
      await session.logout({ everywhere: url.searchParams.has("everywhere") });
      req.session.flash("info", "goodbye");
      return redirect("/");
    case "POST /callback-login":
      // As Passport does it: callbacks, and the old object read after it was replaced.
      return session.regenerate((error) => {
        if (error) return res.writeHead(500).end();
        Object.assign(req.session, session, { passport: { user: url.searchParams.get("user") } });
        return req.session.save((failure) => (failure ? res.writeHead(500).end() : redirect("/")));
      });
    case "POST /count":
      await session.update((current) => {
        Object.assign(current, { count: Number(Reflect.get(current, "count") ?? 0) + 1 });
      });
      return res.end();
    default:
      return res.end(JSON.stringify({ data: session, userId: session.userId, info: session.flash("info") }));
  }
};

const STORES: [string, (clock: ManualClock) => IndexedStore][] = [
  ["memory", (clock) => new MemoryStore({ clock })],
  ["SQLite", (clock) => new SqliteStore(":memory:", { clock })],
  ["an asynchronous store", (clock) => new ProbeStore(new MemoryStore({ clock }), { async: true }).store],
];

for (const kind of KINDS) {
  for (const [name, open] of STORES) {
    describe(`${kind}, over ${name}`, () => {
      const start = (t: { after(action: () => unknown): void }) => {
        const clock = new ManualClock();
        return site(t, { kind, clock, store: open(clock) }, shop);
      };

      test("fixation: the attacker's cookie, planted before the login, is worth nothing after it", async (t) => {
        const { visitor } = await start(t);
        const attacker = visitor();
        await attacker.post("/cart?item=bait");
        const victim = attacker.clone();
        await victim.post("/login?user=alice");
        assert.notEqual(victim.token, attacker.token);
        assert.deepEqual(JSON.parse((await victim.get()).text), {
          data: { cart: ["bait"] },
          userId: "alice",
          info: ["added", "hello"],
        });
        assert.deepEqual(JSON.parse((await attacker.get()).text), { data: {}, userId: null, info: [] });
        await attacker.post("/cart?item=more");
        assert.deepEqual(JSON.parse((await victim.get()).text).data, { cart: ["bait"] });
      });

      test("fixation by a cookie of the attacker's own making", async (t) => {
        const { visitor } = await start(t);
        const made = `${"x".repeat(21)}A.${"y".repeat(32)}`;
        const victim = visitor();
        victim.cookies.set("sid", made);
        await victim.post("/login?user=alice");
        assert.notEqual(victim.token, made);
        const attacker = visitor();
        attacker.cookies.set("sid", made);
        assert.equal(JSON.parse((await attacker.get()).text).userId, null);
      });

      test("a second user on the same browser does not see the first one's data", async (t) => {
        const { visitor } = await start(t);
        const browser = visitor();
        await browser.post("/cart?item=book");
        await browser.post("/login?user=alice");
        await browser.get();
        await browser.post("/login?user=bob");
        assert.deepEqual(JSON.parse((await browser.get()).text), { data: {}, userId: "bob", info: ["hello"] });
      });

      test("logout: the cookie is dead at once, also for who copied it, and a farewell is shown", async (t) => {
        const { visitor, sessions } = await start(t);
        const browser = visitor();
        await browser.post("/login?user=alice");
        const thief = browser.clone();
        await browser.post("/logout");
        assert.notEqual(browser.token, thief.token);
        assert.deepEqual(JSON.parse((await thief.get()).text), { data: {}, userId: null, info: [] });
        assert.deepEqual(JSON.parse((await browser.get()).text), { data: {}, userId: null, info: ["goodbye"] });
        assert.equal(await sessions.count("alice"), 0);
      });

      test("logout everywhere", async (t) => {
        const { visitor } = await start(t);
        const [laptop, phone, bob] = [visitor(), visitor(), visitor()];
        for (const browser of [laptop, phone]) await browser.post("/login?user=alice&remember=30d");
        await bob.post("/login?user=bob");
        await laptop.post("/logout?everywhere");
        assert.equal(JSON.parse((await phone.get()).text).userId, null);
        assert.equal(JSON.parse((await bob.get()).text).userId, "bob");
      });

      test("the way of Passport", async (t) => {
        const { visitor } = await start(t);
        const browser = visitor();
        await browser.post("/cart?item=book");
        const before = browser.token;
        await browser.post("/callback-login?user=alice");
        assert.notEqual(browser.token, before);
        assert.deepEqual(JSON.parse((await browser.get()).text).data, { cart: ["book"], passport: { user: "alice" } });
      });

      test("a message survives the redirect and is shown once, of two parallel requests both", async (t) => {
        const { visitor } = await start(t);
        const browser = visitor();
        await browser.post("/cart?item=a");
        assert.deepEqual(JSON.parse((await browser.get()).text).info, ["added"]);
        assert.deepEqual(JSON.parse((await browser.get()).text).info, []);
        await Promise.all([browser.post("/cart?item=b"), browser.post("/cart?item=c")]);
        assert.deepEqual(JSON.parse((await browser.get()).text).info, ["added", "added"]);
      });

      test("40 parallel update()s count 40", async (t) => {
        const { visitor } = await start(t);
        const browser = visitor();
        await browser.post("/count");
        await Promise.all(Array.from({ length: 39 }, () => browser.post("/count")));
        assert.equal(JSON.parse((await browser.get()).text).data.count, 40);
      });
    });
  }
}
