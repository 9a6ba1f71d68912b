import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requireFresh } from "../../src/index.ts";
import { faulty } from "../../src/testing/faulty-store.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import type { StoreOperation } from "../../src/wrap/wrap.ts";
import { everyStore } from "../support/every-store.ts";
import { increment, PATIENT } from "../support/express-site.ts";
import { type Cleanup, type Handler, type SiteOptions, site, type Visitor } from "../support/site.ts";

/** What identity adds to a session, over every store: it works, and a store that fails in the middle leaves all as it was. */

const MINUTE = 60_000;

const guard = requireFresh({ within: "10m" });

/** Whether the guard lets a request pass. It answers those that it does not. */
function passes(...[req, res]: Parameters<Handler>): boolean {
  let hasPassed = false;
  guard(req, res, (error) => {
    assert.ifError(error);
    hasPassed = true;
  });
  return hasPassed;
}

async function start(t: Cleanup, kind: ReturnType<typeof everyStore>[number], options: SiteOptions = {}) {
  const clock = new ManualClock();
  const { store, fail, heal } = faulty(kind.open(clock), { clock, synchronousLoad: false });
  // Tests share a database's table, so each has a user and a link of its own.
  const user = `${crypto.randomUUID()} of ${kind.name}`;
  const link = `link of ${user}`;
  const release = (own: SiteOptions) =>
    site(t, { clock, store, storeTimeout: PATIENT, ...own }, async (req, res) => {
      const { session } = req;
      if (req.url === "/login") await session.login(user, { methods: ["pwd"], link, stamp: "1" });
      if (req.url === "/confirm") await session.confirm({ methods: ["otp"] });
      if (req.url === "/count") increment(session);
      if (req.url === "/guarded" && !passes(req, res)) return;
      if (req.url === "/count-more") Object.assign(session, { cart: ["book"] });
      const { userId, authenticationMethods, expiresAt } = session;
      res.end(JSON.stringify({ ...session, userId, authenticationMethods, left: expiresAt.getTime() - clock.now() }));
    });
  const one = await release(options);
  const visitor = one.visitor();
  const ask = async (path: string, by: Visitor = visitor) => {
    const { status, text } = await by.get(path);
    return status === 200 ? JSON.parse(text) : { status };
  };
  assert.equal((await ask("/login")).userId, user);
  /** One call fails before it reaches the store. */
  const failOnce = (operation: StoreOperation) => fail(operation, { kind: "error" });
  return { ...one, clock, visitor, ask, user, link, failOnce, heal, release };
}

for (const kind of everyStore()) {
  describe(`over ${kind.name}`, { skip: kind.skip }, () => {
    test("a confirmation that was not stored is none, and the token stays", async (t) => {
      const { ask, visitor, failOnce, heal, user } = await start(t, kind);
      const token = visitor.token;
      failOnce("replace");
      assert.deepEqual(await ask("/confirm"), { status: 503 });
      heal();
      assert.equal(visitor.token, token);
      assert.deepEqual((await ask("/")).authenticationMethods, ["pwd"]);
      const before = visitor.clone();
      assert.deepEqual((await ask("/confirm")).authenticationMethods, ["otp"]);
      assert.equal((await ask("/", before)).userId, null);
      assert.partialDeepStrictEqual(await ask("/"), { userId: user, authenticationMethods: ["otp"] });
    });

    test("a route that needs a fresh login opens after a confirmation, in every process", async (t) => {
      const { ask, clock, visitor, release, user } = await start(t, kind);
      assert.equal((await ask("/guarded")).userId, user);
      clock.advance(10 * MINUTE + 1);
      assert.deepEqual(await ask("/guarded"), { status: 401 });
      await ask("/confirm");
      assert.equal((await ask("/guarded")).userId, user);
      // Another process has nothing but the store.
      const elsewhere = (await release({})).visitor();
      for (const [name, value] of visitor.cookies) elsewhere.cookies.set(name, value);
      assert.partialDeepStrictEqual(await ask("/guarded", elsewhere), { userId: user, authenticationMethods: ["otp"] });
      clock.advance(10 * MINUTE + 1);
      for (const by of [visitor, elsewhere]) assert.deepEqual(await ask("/guarded", by), { status: 401 });
    });

    test("a disabled user is out while the store can't end the session, and it ends when it can", async (t) => {
      const stamps = new Set(["1"]);
      const validate = ({ stamp }: { stamp: string | null }) => stamps.has(stamp ?? "");
      const { ask, clock, failOnce, heal, sessions, user } = await start(t, kind, { validate });
      stamps.clear();
      clock.advance(MINUTE);
      failOnce("delete");
      assert.equal((await ask("/")).userId, null);
      heal();
      assert.equal(await sessions.count(user), 1);
      assert.equal((await ask("/")).userId, null);
      assert.equal(await sessions.count(user), 0);
    });

    test("a request that is no use lengthens nothing, also where the store fails", async (t) => {
      const countsAsUse = ({ url }: { url?: string | undefined }) => url !== "/poll";
      const { ask, clock, failOnce, heal } = await start(t, kind, { countsAsUse });
      clock.advance(20 * MINUTE);
      assert.equal((await ask("/poll")).left, 10 * MINUTE);
      failOnce("load");
      assert.deepEqual(await ask("/poll"), { status: 503 });
      heal();
      assert.equal((await ask("/poll")).left, 10 * MINUTE);
      assert.equal((await ask("/")).left, 30 * MINUTE);
    });

    test("data that was migrated is stored with the next save, and a save that fails leaves the old", async (t) => {
      const { ask, visitor, failOnce, heal, release, user } = await start(t, kind, { migrate: [] });
      await ask("/count-more");
      const up = ({ cart, ...rest }: Record<string, unknown>) => ({ ...rest, articles: Array.isArray(cart) ? 1 : 0 });
      const newer = (await release({ migrate: [{ from: 1, up }] })).visitor();
      for (const [name, value] of visitor.cookies) newer.cookies.set(name, value);
      failOnce("update");
      assert.deepEqual(await ask("/count", newer), { status: 503 });
      heal();
      assert.partialDeepStrictEqual(await ask("/"), { userId: user, cart: ["book"] });
      assert.partialDeepStrictEqual(await ask("/count", newer), { userId: user, articles: 1, n: 1 });
      assert.equal((await ask("/")).userId, null, "the older release sets it aside");
      assert.partialDeepStrictEqual(await ask("/", newer), { userId: user, articles: 1, n: 1 });
    });

    for (const way of ["revokeAll", "erase"] as const) {
      test(`${way}, of a link or a user, is never claimed where the store failed`, async (t) => {
        const { ask, failOnce, heal, sessions, user, link } = await start(t, kind);
        const end = () => (way === "erase" ? sessions.erase(user) : sessions.revokeAll({ link }));
        failOnce("deleteAll");
        await assert.rejects(async () => end(), { code: "STORE_UNAVAILABLE" });
        heal();
        assert.equal((await ask("/")).userId, user);
        await end();
        assert.equal((await ask("/")).userId, null);
        assert.equal(await sessions.count(user), 0);
      });
    }
  });
}
