import assert from "node:assert/strict";
import { type MockTimers, mock, test } from "node:test";
import cookieSession from "../../src/compat/cookie-session.ts";
import session, { MemoryStore, toExpressStore } from "../../src/compat/express-session.ts";
import { MemoryStore as OurMemoryStore } from "../../src/stores/memory.ts";
import { type Any, type Cleanup, type Middleware, pairOf, serve } from "./world.ts";

/** Applications' tests replace the global clock and timers long after the packages were loaded. */
const START = Date.UTC(2030, 0, 1);

function fake(t: Cleanup, apis: readonly ("Date" | "setImmediate" | "setTimeout")[]): MockTimers {
  const { timers } = mock;
  timers.enable({ apis: [...apis], now: START });
  t.after(() => timers.reset());
  return timers;
}

function count(req: Any, res: Any): void {
  req.session.views = (req.session.views ?? 0) + 1;
  res.end(`${req.session.views}`);
}

const QUIET = { secret: "keyboard cat", resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } };
const stores = {
  MemoryStore: () => new MemoryStore(),
  "a store of Sojourn": () => toExpressStore(new OurMemoryStore()),
};

for (const [name, make] of Object.entries(stores)) {
  test(`the express-session drop-in on ${name} follows a clock that a test moves`, async (t) => {
    const timers = fake(t, ["Date"]);
    const { get } = await serve(t, session({ ...QUIET, store: make() }) as Middleware, count);
    const [line] = (await get("/")).setCookies;
    assert.match(line ?? "", /Expires=Tue, 01 Jan 2030 00:01:00 GMT/);
    const cookie = pairOf(line);
    timers.setTime(START + 59_999);
    assert.equal((await get("/", { cookie })).text, "2");
    timers.setTime(START + 59_999 + 60_000);
    assert.equal((await get("/", { cookie })).text, "1");
  });
}

test("the session's cookie counts by a clock that a test moves", (t) => {
  const timers = fake(t, ["Date"]);
  const cookie = new session.Cookie({ maxAge: 1000 });
  timers.setTime(START + 400);
  assert.equal(cookie.maxAge, 600);
});

test("the cookie-session drop-in follows a clock that a test moves", async (t) => {
  const timers = fake(t, ["Date"]);
  const { get } = await serve(t, cookieSession({ keys: ["a"], maxAge: 60_000 }) as Middleware, count);
  timers.setTime(START + 5000);
  assert.match((await get("/")).setCookies[0] ?? "", /expires=Tue, 01 Jan 2030 00:01:05 GMT/);
});

test("the drop-ins answer while a test has replaced the timers", async (t) => {
  fake(t, ["Date", "setImmediate", "setTimeout"]);
  const queued = mock.method(globalThis, "queueMicrotask", () => {});
  t.after(() => queued.mock.restore());
  const failed: unknown[] = [];
  const inCookie = await serve(t, cookieSession({ keys: ["a"] }) as Middleware, (req: Any, res) =>
    req.session.regenerate(() => count(req, res)),
  );
  assert.equal((await inCookie.get("/")).text, "1");
  for (const [name, make] of Object.entries(stores)) {
    const { get } = await serve(t, session({ ...QUIET, store: make() }) as Middleware, count);
    const cookie = pairOf((await get("/")).setCookies[0]);
    assert.equal((await get("/", { cookie })).text, "2", name);
  }
  const store = new MemoryStore();
  store.set = (_id, _session, done) => done?.(new Error("refused"));
  const told = await serve(t, session({ ...QUIET, store }) as Middleware, count, failed);
  await told.get("/");
  assert.deepEqual(failed.map(String), ["Error: refused"]);
});
