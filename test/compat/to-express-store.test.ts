import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, test } from "node:test";
import session, { type Store, toExpressStore } from "../../src/compat/express-session.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type Cleanup, hasSession, load, type Middleware, pairOf, serve } from "./world.ts";

const packages: Record<string, (options: object) => Middleware> = {
  "express-session": load("express-session"),
  "the drop-in": (options) => session(options) as Middleware,
};

async function site(t: Cleanup, library: (options: object) => Middleware, store: Store, cookie = {}) {
  const slow = new EventEmitter();
  const options = { secret: "keyboard cat", resave: false, saveUninitialized: false, store, cookie };
  const client = await serve(t, library(options), async (req, res) => {
    hasSession(req);
    const current = req.session;
    if (req.url === "/destroy") return void current.destroy(() => res.end("bye"));
    if (req.url === "/regenerate") return void current.regenerate(() => res.end("new"));
    if (req.url === "/slow") {
      slow.emit("arrived");
      await once(slow, "go");
    }
    if (req.url !== "/read") current["views"] = Number(current["views"] ?? 0) + 1;
    res.end(`${current["views"]}`);
  });
  return { ...client, slow };
}

for (const [name, library] of Object.entries(packages)) {
  describe(`a store of ours in ${name}`, () => {
    test("keeps sessions, under a hash of their IDs", async (t) => {
      const ours = new MemoryStore();
      const { get } = await site(t, library, toExpressStore(ours));
      const cookie = pairOf((await get("/")).setCookies[0]);
      assert.equal((await get("/", { cookie })).text, "2");
      const { sessions } = ours.list({});
      assert.equal(sessions.length, 1);
      const id = decodeURIComponent(cookie).slice("connect.sid=s:".length).split(".")[0] ?? "";
      assert.equal(JSON.stringify(sessions).includes(id), false);
      assert.equal((await get("/destroy", { cookie })).text, "bye");
      assert.equal((await get("/", { cookie })).text, "1");
    });

    test("a session that was destroyed while a request used it is not written back", async (t) => {
      const ours = new MemoryStore();
      const { get, slow } = await site(t, library, toExpressStore(ours));
      const cookie = pairOf((await get("/")).setCookies[0]);
      const arrived = once(slow, "arrived");
      const answer = get("/slow", { cookie });
      await arrived;
      await get("/destroy", { cookie });
      slow.emit("go");
      assert.equal((await answer).text, "2");
      assert.equal(ours.count(), 0);
    });

    test("of two that change it at once the later one is kept", async (t) => {
      const { get, slow } = await site(t, library, toExpressStore(new MemoryStore()));
      const cookie = pairOf((await get("/")).setCookies[0]);
      const arrived = once(slow, "arrived");
      const answer = get("/slow", { cookie });
      await arrived;
      await get("/", { cookie });
      await get("/", { cookie });
      slow.emit("go");
      assert.equal((await answer).text, "2");
      assert.equal((await get("/read", { cookie })).text, "2");
    });

    test("regenerate leaves the old one nowhere", async (t) => {
      const ours = new MemoryStore();
      const { get } = await site(t, library, toExpressStore(ours));
      const cookie = pairOf((await get("/")).setCookies[0]);
      const fresh = pairOf((await get("/regenerate", { cookie })).setCookies[0]);
      assert.notEqual(fresh, cookie);
      assert.equal(ours.count(), 1);
      assert.equal((await get("/read", { cookie })).text, "undefined");
    });
  });
}

test("a session ends with its cookie, or after ttl; a touch moves its end", async () => {
  const clock = new ManualClock();
  const store = toExpressStore(new MemoryStore({ clock }), { clock, ttl: "1h" });
  const { Cookie } = session;
  const call = <T>(work: (done: (error?: unknown, value?: T) => void) => void) =>
    new Promise<T | undefined>((resolve, reject) => work((error, value) => (error ? reject(error) : resolve(value))));
  const timed = { cookie: new Cookie({ expires: new Date(clock.now() + 60_000) }) };
  await call<void>((done) => store.set("timed", timed, done));
  await call<void>((done) => store.set("browser", { cookie: new Cookie() }, done));
  await clock.advance(59_000);
  timed.cookie.expires = new Date(clock.now() + 60_000);
  await call<void>((done) => store.touch?.("timed", timed, done));
  await clock.advance(59_999);
  const loaded = await call<{ cookie: { expires?: Date | null | undefined } } | null>((done) =>
    store.get("timed", done),
  );
  assert.equal(loaded?.cookie.expires?.valueOf(), clock.now() + 1);
  await clock.advance(1);
  assert.equal(await call((done) => store.get("timed", done)), null);
  await clock.advance(3_600_000);
  assert.equal(await call((done) => store.get("browser", done)), null);
});
