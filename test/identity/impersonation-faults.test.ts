import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { faulty } from "../../src/testing/faulty-store.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { type StoreOperation, wrapStore } from "../../src/wrap/wrap.ts";
import { everyStore, type StoreKind } from "../support/every-store.ts";
import { PATIENT } from "../support/express-site.ts";
import { type Cleanup, site } from "../support/site.ts";

/** An impersonation that begins or stops, over every store, while each of its calls to the store fails once, in turn. */

type Way = "impersonate" | "stop";

async function start(t: Cleanup, kind: StoreKind) {
  const clock = new ManualClock();
  const inner = kind.open(clock);
  // Requests don't wait for the deletion of a session that nobody got.
  const running = new Set<unknown>();
  const tracked = wrapStore(inner, {
    around(_operation, call) {
      const result = call();
      running.add(result);
      return result;
    },
  });
  const flaky = faulty(tracked, { synchronousLoad: false });
  const one = await site(t, { clock, store: flaky.store, storeTimeout: PATIENT }, async (req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
    const user = searchParams.get("user") ?? "";
    if (pathname === "/login") await req.session.login(user);
    if (pathname === "/impersonate") await req.session.impersonate(user, { reason: "a test" });
    if (pathname === "/stop") await req.session.stopImpersonating();
    res.end(JSON.stringify([req.session.userId, req.session.actor?.userId ?? null]));
  });

  /** Fails one call of a request, after `passing` others that don't, and nothing if that is `undefined`. */
  async function meet(way: Way, kind: "error" | "lost reply", passing: number | undefined) {
    // Tests share a database's table.
    const [admin, bob] = [`admin ${crypto.randomUUID()}`, `bob ${crypto.randomUUID()}`];
    const visitor = one.visitor();
    const send = (path: string, user = "") => visitor.get(`${path}?user=${encodeURIComponent(user)}`);
    const who = async (): Promise<unknown> => JSON.parse((await send("/")).text);
    assert.equal((await send("/login", admin)).status, 200);
    if (way === "stop") assert.equal((await send("/impersonate", bob)).status, 200);
    const own = { seen: [admin, null], impersonations: 0 };
    const acting = { seen: [bob, admin], impersonations: 1 };
    const [before, after] = way === "impersonate" ? [own, acting] : [acting, own];

    const from = flaky.calls.length;
    if (passing !== undefined && passing > 0) flaky.fail("any", { kind: "delay", ms: 0 }, passing);
    if (passing !== undefined) flaky.fail("any", { kind });
    const answer = await send(`/${way}`, bob);
    flaky.heal();
    const calls = flaky.calls.slice(from);
    const code: unknown = Reflect.get(Object(one.errors.pop()), "code");
    const impersonations = async () => (await one.sessions.list(bob, { impersonations: true })).length;
    /** How many sessions of the other user the store holds, whether they open or not. */
    const held = async (): Promise<number> => {
      await Promise.allSettled(running);
      return (await inner.list({ userId: bob })).sessions.length;
    };
    return { send, who, answer, code, calls, before, after, admin, bob, impersonations, held };
  }

  return { meet, sessions: one.sessions };
}

/** Which calls may fail without a failure of the whole: the session that they end opens nothing any more. */
const FREE: Record<Way, readonly StoreOperation[]> = { impersonate: [], stop: ["delete"] };

for (const kind of everyStore()) {
  describe(`over ${kind.name}`, { skip: kind.skip }, () => {
    for (const way of ["impersonate", "stop"] as const) {
      test(`${way}, of which a call fails: all stays as it was, and a retry succeeds`, async (t) => {
        const { meet, sessions } = await start(t, kind);
        const { calls, answer } = await meet(way, "error", undefined);
        assert.equal(answer.status, 200);
        const free: StoreOperation[] = [];
        for (const [passing, operation] of calls.entries()) {
          const met = await meet(way, "error", passing);
          const { send, who, before, after, admin, bob, impersonations, held } = met;
          const what = `${way}, call ${passing + 1}, ${operation}`;
          if (met.code === undefined) free.push(operation);
          else {
            assert.deepEqual([met.answer.status, met.code], [503, "STORE_UNAVAILABLE"], what);
            assert.deepEqual(met.answer.setCookies, [], what);
            assert.equal(await held(), before.impersonations, what);
            assert.deepEqual(await who(), before.seen, what);
            assert.equal(await impersonations(), before.impersonations, what);
            assert.equal(await sessions.count(admin), 1, what);
            assert.equal((await send(`/${way}`, bob)).status, 200, what);
          }
          assert.deepEqual(await who(), after.seen, what);
          assert.equal(await impersonations(), after.impersonations, what);
          assert.equal(await sessions.count(admin), 1, what);
          // It goes on in the other direction.
          assert.equal((await send(way === "stop" ? "/impersonate" : "/stop", bob)).status, 200, what);
          assert.deepEqual(await who(), before.seen, what);
          assert.equal(await sessions.count(admin), 1, what);
        }
        assert.deepEqual(free, FREE[way]);
        t.diagnostic(calls.join(", "));
      });

      test(`${way}, of which a reply is lost: no half impersonation is left, and the actor can go on`, async (t) => {
        const { meet } = await start(t, kind);
        const { calls } = await meet(way, "lost reply", undefined);
        const ended: StoreOperation[] = [];
        for (const [passing, operation] of calls.entries()) {
          const met = await meet(way, "lost reply", passing);
          const { send, who, before, after, admin, bob, impersonations } = met;
          const what = `${way}, call ${passing + 1}, ${operation}`;
          if (met.code !== undefined) {
            assert.deepEqual([met.answer.status, met.code], [503, "STORE_UNAVAILABLE"], what);
            const seen = await who();
            // The store did it, and nobody was told the new token.
            const isOut = JSON.stringify(seen) === "[null,null]";
            if (isOut) ended.push(operation);
            else assert.deepEqual(seen, before.seen, what);
            assert.equal(await impersonations(), isOut ? 0 : before.impersonations, what);
            if (isOut) {
              assert.equal((await send("/login", admin)).status, 200, what);
              if (way === "stop") assert.equal((await send("/impersonate", bob)).status, 200, what);
            }
            assert.equal((await send(`/${way}`, bob)).status, 200, what);
          }
          assert.deepEqual(await who(), after.seen, what);
          assert.equal(await impersonations(), after.impersonations, what);
        }
        assert.deepEqual(ended, ["replace"]);
      });
    }
  });
}
