import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { increment, peek } from "../support/express-site.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { type Cleanup, type Handler, KINDS, type SiteOptions, site } from "../support/site.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const [A, B] = [Buffer.alloc(32, "first secret"), Buffer.alloc(32, "another secret")];

const handler: Handler = async (req, res) => {
  const { pathname } = new URL(req.url ?? "/", "http://x");
  const what = pathname.replace("/poll", "");
  if (what === "/unread") {
    res.end();
    return;
  }
  const { session } = req;
  if (what === "/login") await session.login("ada");
  if (what === "/write") increment(session);
  if (what === "/save") {
    increment(session);
    await session.save();
  }
  if (what === "/touch") await session.touch();
  if (what === "/persist") await session.persist("1d");
  if (what === "/flash") session.flash("info", "x");
  if (what === "/update") await session.update(() => increment(session));
  res.end(JSON.stringify({ userId: session.userId, n: peek(session, "n"), end: session.expiresAt.getTime() }));
};

type Kind = "a synchronous store" | "an asynchronous store" | "sealed sessions";
const ALL: readonly Kind[] = ["a synchronous store", "an asynchronous store", "sealed sessions"];

async function start(t: Cleanup, kind: Kind, options: SiteOptions = {}) {
  const clock = options.clock instanceof ManualClock ? options.clock : new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async: kind === "an asynchronous store" });
  const store = kind === "sealed sessions" ? new SealedStore() : probe.store;
  const countsAsUse = (req: { url?: string | undefined }) => req.url?.startsWith("/poll") !== true;
  const one = await site(t, { clock, store, secret: A, countsAsUse, ...options }, handler);
  const visitor = one.visitor();
  /** What the session is for a request, and whether the answer brings a cookie. */
  const ask = async (path: string) => {
    const { status, text, setCookies } = await visitor.get(path);
    assert.equal(status, 200, text);
    const { userId, n, end } = text === "" ? { userId: "", n: 0, end: clock.now() } : JSON.parse(text);
    return { userId, n, left: end - clock.now(), isRenewed: setCookies.length > 0 };
  };
  return { ...one, clock, probe, visitor, ask, store };
}

for (const kind of ALL) {
  describe(`a request that is no use, with ${kind}`, () => {
    test("sees the session and its end, and lengthens nothing, however often it comes", async (t) => {
      const { clock, ask, probe } = await start(t, kind);
      await ask("/login");
      probe.reset();
      for (let minutes = 1; minutes < 30; minutes += 1) {
        clock.advance(MINUTE);
        assert.deepEqual(await ask("/poll"), {
          userId: "ada",
          n: undefined,
          left: (30 - minutes) * MINUTE,
          isRenewed: false,
        });
      }
      const calls = new Set(probe.operations.filter((name) => name !== "prune"));
      assert.deepEqual(calls, new Set(kind === "sealed sessions" ? [] : ["load"]));
      clock.advance(MINUTE - 1);
      assert.equal((await ask("/poll")).left, 1);
      clock.advance(1);
      assert.equal((await ask("/poll")).userId, null);
    });

    test("that reads nothing costs a synchronous store nothing, and the session its time", async (t) => {
      const { clock, ask, probe } = await start(t, kind);
      await ask("/login");
      clock.advance(29 * MINUTE);
      probe.reset();
      for (let i = 0; i < 3; i += 1) assert.equal((await ask("/poll/unread")).isRenewed, false);
      if (kind === "a synchronous store") assert.deepEqual(probe.operations, []);
      assert.equal((await ask("/poll")).left, MINUTE);
      assert.equal((await ask("/")).left, 30 * MINUTE, "a use");
      assert.equal((await ask("/poll")).left, 30 * MINUTE);
    });

    for (const write of ["/write", "/save", "/update", "/flash"]) {
      test(`saves what it changes by ${write}, and leaves the session its time`, async (t) => {
        const { clock, ask } = await start(t, kind);
        await ask("/login");
        clock.advance(20 * MINUTE);
        const { isRenewed, left } = await ask(`/poll${write}`);
        // A sealed session is its cookie.
        assert.deepEqual([isRenewed, left], [kind === "sealed sessions", 10 * MINUTE]);
        const { n, left: after } = await ask("/poll");
        assert.deepEqual([n, after], [write === "/flash" ? undefined : 1, 10 * MINUTE]);
        clock.advance(10 * MINUTE);
        assert.equal((await ask("/poll")).userId, null);
      });
    }

    test("lengthens the session where the application asks for that: touch, persist, login", async (t) => {
      for (const [path, left] of [
        ["/touch", 30 * MINUTE],
        ["/persist", 24 * HOUR],
        ["/login", 30 * MINUTE],
      ] as const) {
        const { clock, ask } = await start(t, kind);
        await ask("/login");
        clock.advance(20 * MINUTE);
        assert.equal((await ask(`/poll${path}`)).left, left, path);
        assert.equal((await ask("/poll")).left, left, path);
      }
    });

    test("lengthens nothing where the timeout is longer by now", async (t) => {
      const { clock, visitor, store } = await start(t, kind);
      await visitor.get("/login");
      const other = await start(t, kind, { idleTimeout: "2h", store, clock });
      for (const [name, value] of visitor.cookies) other.visitor.cookies.set(name, value);
      clock.advance(10 * MINUTE);
      for (const path of ["/poll", "/poll/write", "/poll"])
        assert.equal((await other.ask(path)).left, 20 * MINUTE, path);
      assert.equal((await other.ask("/")).left, 2 * HOUR);
    });

    test("sends no new cookie where a key was rotated; the next use does", async (t) => {
      const { clock, visitor, store } = await start(t, kind);
      await visitor.get("/login");
      const sealed = kind === "sealed sessions";
      const other = await start(t, kind, { secret: [B, A], store: sealed ? new SealedStore() : store, clock });
      for (const [name, value] of visitor.cookies) other.visitor.cookies.set(name, value);
      clock.advance(MINUTE);
      assert.deepEqual(
        [(await other.ask("/poll")).isRenewed, (await other.ask("/")).isRenewed, (await other.ask("/poll")).userId],
        [false, true, "ada"],
      );
    });
  });
}

for (const kind of KINDS) {
  test(`a predicate that throws or returns no boolean fails the request: ${kind}`, async (t) => {
    const results: unknown[] = [true, undefined, Promise.resolve(false)];
    const countsAsUse = (): boolean => {
      if (results.length === 0) throw new Error("the application's own");
      return results.shift() as never;
    };
    const { visitor, errors } = await site(t, { kind, countsAsUse }, handler);
    const one = visitor();
    const statuses: number[] = [];
    for (let i = 0; i < 4; i += 1) statuses.push((await one.get("/")).status);
    assert.deepEqual(statuses, [200, 500, 500, 500]);
    assert.match(String(errors[1]), /countsAsUse\(req\) must return true or false/);
    assert.match(String(errors[2]), /the application's own/);
  });
}

test("a long request that is no use does not keep its session alive", async (t) => {
  const clock = new ManualClock();
  const [here, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const countsAsUse = (req: { url?: string | undefined }) => req.url !== "/poll";
  const one = await site(t, { clock, countsAsUse }, async (req, res) => {
    if (req.url === "/login") await req.session.login("ada");
    if (req.url === "/poll") {
      here.resolve();
      await go.promise;
    }
    res.end(String(req.session.userId));
  });
  const visitor = one.visitor();
  await visitor.get("/login");
  const polling = visitor.get("/poll");
  await here.promise;
  for (let i = 0; i < 31 * 6; i += 1) clock.advance(10_000);
  go.resolve();
  await polling;
  assert.equal((await visitor.get("/")).text, "null");
});

test("countsAsUse must be a function", () => {
  assert.throws(() => session({ countsAsUse: true as never }), { name: "TypeError", message: /countsAsUse must be/ });
});
