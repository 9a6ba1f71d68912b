import { deepEqual, equal, ok } from "node:assert/strict";
import {
  type Admission,
  type AdmissionResult,
  decodeTombstone,
  encodeTombstone,
  NOTE,
  type SessionRecord,
  type SessionStore,
  type StoredSession,
  tombstoneHandle,
} from "../../contract/store.ts";
import { type AdmittingStore, accessTo, type Check, type CheckContext, canAdmit, handlesOf } from "./check.ts";

type Context = CheckContext<AdmittingStore>;

const ROUNDS = 8;

export const admit: readonly Check[] = Object.entries({
  "admits sessions below the limit, and stores every field": async (context: Context) => {
    const { first, second } = context;
    const now = context.clock.now();
    const session = fresh(context, "new", {
      payload: 'new \u{1f680} "',
      link: "sid",
      createdAt: now - 3,
      touchedAt: now - 2,
      expiresAt: now + 90_000,
    });
    deepEqual(await first.admit(refusing(session, 2)), done());
    const { handle: _, ...record } = session;
    await context.holds("new", record);
    deepEqual(await second.admit(revoking(fresh(context, "next"), 2)), done());
    deepEqual((await handlesOf(first, { userId: "user" })).toSorted(), ["new", "next"]);
    deepEqual(await handlesOf(second, { link: "sid" }), ["new"]);
    equal(await first.update("new", { ...record, payload: "on", version: 2 }, 1), "ok");
  },
  "refuses a session over the limit, and changes nothing": async (context: Context) => {
    const { first, second } = context;
    for (const name of ["a", "b"]) deepEqual(await first.admit(refusing(fresh(context, name), 2)), done());
    const before = await first.list({});
    for (const limit of [1, 2])
      deepEqual(await second.admit(refusing(fresh(context, "c"), limit)), { result: "limit" });
    deepEqual(await first.list({}), before);
    await context.holds("c", undefined);
    await first.delete("a");
    deepEqual(await second.admit(refusing(fresh(context, "c"), 2)), done());
  },
  "revokes the session used longest ago": async (context: Context) => {
    const { first, second } = context;
    for (const name of ["a", "b", "c"]) {
      deepEqual(await first.admit(revoking(fresh(context, name), 3)), done());
      context.clock.advance(1_000);
    }
    const now = context.clock.now();
    await second.touch("a", now, now + 60_000);
    context.clock.advance(1_000);
    deepEqual(await second.admit(revoking(fresh(context, "d"), 3)), done("b"));
    await context.holds("b", undefined);
    deepEqual(await handlesOf(first, { userId: "user" }), ["d", "a", "c"]);
    equal(await first.update("b", { ...fresh(context, "b"), version: 2 }, 1), "gone");
    equal(await first.count({ userId: "user" }), 3);
  },
  "revokes as many as it takes, down to none but the new one": async (context: Context) => {
    const { first, second } = context;
    const now = context.clock.now();
    for (let n = 0; n < 5; n++) await first.create(`old${n}`, fresh(context, `old${n}`, { touchedAt: now - n }));
    deepEqual(sorted(await second.admit(revoking(fresh(context, "a"), 4))), done("old3", "old4"));
    deepEqual(sorted(await first.admit(revoking(fresh(context, "b"), 1))), done("a", "old0", "old1", "old2"));
    deepEqual(await handlesOf(second), ["b"]);
  },
  "expired sessions, notes and others' sessions don't count": async (context: Context) => {
    const { first, second } = context;
    await context.create("expired", { userId: "user", expiresAt: context.clock.now() + 1 });
    context.clock.advance(1);
    await context.create("theirs", { userId: "other" });
    await context.create("anonymous");
    const note = await context.create(`${NOTE}used:1`, { userId: "user" });
    deepEqual(await second.admit(refusing(fresh(context, "a"), 1)), done());
    deepEqual(await second.admit(refusing(fresh(context, "b"), 1)), { result: "limit" });
    deepEqual(await first.admit(revoking(fresh(context, "b"), 1)), done("a"));
    await context.holds(`${NOTE}used:1`, note);
    deepEqual((await handlesOf(first)).toSorted(), ["anonymous", "b", "theirs"]);
  },
  "the session that the new one replaces doesn't count, and ends with its tombstone": async (context: Context) => {
    const { first, second } = context;
    await context.create("anonymous", { version: 3 });
    deepEqual(await first.admit(replacing(context, refusing(fresh(context, "a"), 1), "anonymous", 3)), done());
    await leftBy(context, "anonymous", "a");
    deepEqual(await second.admit(replacing(context, refusing(fresh(context, "b"), 1), "a", 1)), done());
    await leftBy(context, "a", "b");
    deepEqual(await first.admit(replacing(context, revoking(fresh(context, "c"), 1), "b", 1)), done());
    await leftBy(context, "b", "c");
    deepEqual(await handlesOf(second), ["c"]);
    equal(await first.count({ userId: "user" }), 1);
  },
  "revokes and replaces in one step": async (context: Context) => {
    const { first, second } = context;
    for (const name of ["a", "b"]) await first.create(name, fresh(context, name));
    context.clock.advance(1);
    await context.create("anonymous");
    const admission = replacing(context, revoking(fresh(context, "c"), 1), "anonymous", 1);
    deepEqual(sorted(await second.admit(admission)), done("a", "b"));
    await leftBy(context, "anonymous", "c");
    deepEqual(await handlesOf(first), ["c"]);
  },
  "one that is refused ends no session that it would have replaced": async (context: Context) => {
    const { first, second } = context;
    await first.create("there", fresh(context, "there"));
    const old = await context.create("anonymous");
    const refused = replacing(context, refusing(fresh(context, "new"), 1), "anonymous", 1);
    deepEqual(await second.admit(refused), { result: "limit" });
    await context.holds("anonymous", old);
    await context.holds("new", undefined);
    equal(await first.count({ userId: "user" }), 1);
  },
  "a conflict, an ended session and a handle in use change nothing": async (context: Context) => {
    const { first, second } = context;
    const there = fresh(context, "there");
    await first.create("there", there);
    const old = await context.create("old", { version: 5 });
    await context.create("expired", { expiresAt: context.clock.now() + 1 });
    const theirs = await context.create("theirs", { userId: "other" });
    context.clock.advance(1);
    const next = revoking(fresh(context, "new"), 1);
    for (const version of [4, 6]) {
      deepEqual(await second.admit(replacing(context, next, "old", version)), { result: "conflict" });
    }
    for (const handle of ["unknown", "expired"]) {
      deepEqual(await first.admit(replacing(context, next, handle, 1)), { result: "gone" });
    }
    const taken = revoking({ ...fresh(context, "taken"), handle: "theirs" }, 1);
    deepEqual(await second.admit(taken), { result: "taken" });
    deepEqual(await second.admit(replacing(context, taken, "old", 5)), { result: "taken" });
    await context.holds("new", undefined);
    await context.holds("old", old);
    await context.holds("theirs", theirs);
    deepEqual(await handlesOf(first, { userId: "user" }), ["there"]);
  },
  "a call that is repeated, because its reply was lost, is recognized": async (context: Context) => {
    const { first, second } = context;
    await first.create("there", fresh(context, "there"));
    await context.create("anonymous");
    context.clock.advance(1);
    const admission = replacing(context, revoking(fresh(context, "new"), 1), "anonymous", 1);
    deepEqual(await first.admit(admission), done("there"));
    for (const store of [second, first]) deepEqual(await store.admit(admission), done());
    deepEqual(await second.admit({ ...admission, exceed: "refuse" }), done());
    deepEqual(await handlesOf(second), ["new"]);
    const refused = refusing(fresh(context, "new"), 1);
    deepEqual(await second.admit(refused), done());
  },
  "of many concurrent admissions exactly as many as the limit succeed": async (context: Context) => {
    for (let round = 0; round < ROUNDS; round++) {
      const limit = 1 + (round % 3);
      const userId = `user${round}`;
      const results = await Promise.all(
        Array.from({ length: 12 }, async (_, n) => {
          const session = fresh(context, `${round}.${n}`, { userId });
          if (n % 2 === 0) return context.connection(n >> 1).admit(refusing(session, limit));
          await context.create(`old${round}.${n}`);
          const admission = replacing(context, refusing(session, limit), `old${round}.${n}`, 1);
          return context.connection(n >> 1).admit(admission);
        }),
      );
      const admitted = results.flatMap(({ result }, n) => (result === "ok" ? [`${round}.${n}`] : []));
      deepEqual(results.map(({ result }) => result).toSorted(), [
        ...Array.from({ length: 12 - limit }, () => "limit"),
        ...Array.from({ length: limit }, () => "ok"),
      ]);
      deepEqual((await handlesOf(context.second, { userId })).toSorted(), admitted.toSorted());
      for (let n = 1; n < 12; n += 2) {
        equal((await context.first.load(`old${round}.${n}`)) === undefined, results[n]?.result === "ok");
      }
    }
  },
  "concurrent admissions that revoke all succeed, and leave as many as the limit": async (context: Context) => {
    for (let round = 0; round < ROUNDS; round++) {
      const limit = 1 + (round % 3);
      const userId = `user${round}`;
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, n) => {
          return context.connection(n).admit(revoking(fresh(context, `${round}.${n}`, { userId }), limit));
        }),
      );
      const revoked = results.flatMap((result) => (result.result === "ok" ? result.revoked : [result.result]));
      const left = await handlesOf(context.second, { userId });
      equal(left.length, limit);
      const all = Array.from({ length: 12 }, (_, n) => `${round}.${n}`);
      deepEqual([...revoked, ...left].toSorted(), all.toSorted(), "each is left, or was revoked once");
    }
  },
  "of many concurrent admissions that replace one session one succeeds": async (context: Context) => {
    for (let round = 0; round < ROUNDS; round++) {
      await context.create(`old${round}`);
      const results = await Promise.all(
        Array.from({ length: 6 }, (_, n) => {
          const session = fresh(context, `${round}.${n}`, { userId: `user${n % 2}` });
          return context.connection(n).admit(replacing(context, revoking(session, 1), `old${round}`, 1));
        }),
      );
      const names = results.map(({ result }) => result);
      equal(names.filter((result) => result === "ok").length, 1, names.join(" "));
      ok(
        names.every((result) => ["ok", "gone", "conflict"].includes(result)),
        names.join(" "),
      );
      const winner = `${round}.${names.indexOf("ok")}`;
      equal((await context.second.load(winner))?.payload, "fresh");
      for (let n = 0; n < 6; n++) if (`${round}.${n}` !== winner) await context.holds(`${round}.${n}`, undefined);
      const left = await context.first.load(tombstoneHandle(`old${round}`));
      ok(left !== undefined && decodeTombstone(left).successors.includes(winner));
    }
  },
  "a concurrent replace does not save a session from being revoked": async (context: Context) => {
    const { first, second } = context;
    for (let round = 0; round < ROUNDS; round++) {
      const userId = `user${round}`;
      await first.create(`old${round}`, fresh(context, `old${round}`, { userId }));
      context.clock.advance(1);
      const { handle, ...next } = fresh(context, `next${round}`, { userId });
      const [{ result }, replaced] = await Promise.all([
        first.admit(revoking(fresh(context, `new${round}`, { userId }), 1)),
        accessTo(second).replace(`old${round}`, 1, handle, next),
      ]);
      equal(result, "ok");
      ok(replaced === "ok" || replaced === "gone");
      deepEqual(await handlesOf(second, { userId }), [`new${round}`]);
    }
  },
}).map(([name, run]): Check => ({ name, needs: "admit", run }));

/** Returns why a store can't take these checks: a configuration may not be able to admit sessions. */
export async function whyNotAdmitting(context: CheckContext<SessionStore>): Promise<string | undefined> {
  const { first, second } = context;
  if (!canAdmit(first) || !canAdmit(second)) return "this store has no admit";
  const session = { handle: "probe", ...context.record({ userId: "user" }) };
  // Changes nothing.
  const replaces = { handle: "none", expectedVersion: 1 };
  const { result } = await first.admit({ session, limit: 1, exceed: "refuse", replaces });
  return result === "unsupported" ? "this configuration of the store has no admit" : undefined;
}

/** The only check of a store that declares that it can't admit. */
export const unsupported: Check = {
  name: "admit answers that it is not supported",
  async run(context: CheckContext<SessionStore>) {
    equal(await whyNotAdmitting(context), "this configuration of the store has no admit");
  },
};

/** Returns a session of `user` with its own secret. */
function fresh(context: Context, name: string, different: Partial<SessionRecord> = {}): StoredSession {
  const record = context.record({ payload: "fresh", userId: "user", secretHash: `hash of ${name}`, ...different });
  return { handle: name, ...record };
}

function refusing(session: StoredSession, limit: number): Admission {
  return { session, limit, exceed: "refuse" };
}

function revoking(session: StoredSession, limit: number): Admission {
  return { session, limit, exceed: "revoke-oldest" };
}

function replacing(context: Context, admission: Admission, handle: string, expectedVersion: number): Admission {
  const tombstone = {
    handle: tombstoneHandle(handle),
    ...context.record({
      payload: encodeTombstone({ secretHash: "old", successors: [admission.session.handle] }),
      secretHash: `replaced by ${admission.session.handle}`,
    }),
  };
  return { ...admission, replaces: { handle, expectedVersion, tombstone } };
}

function done(...revoked: string[]): AdmissionResult {
  return { result: "ok", revoked };
}

/** The handles that were revoked may come in any order. */
function sorted(result: AdmissionResult): AdmissionResult {
  return result.result === "ok" ? { ...result, revoked: result.revoked.toSorted() } : result;
}

async function leftBy(context: Context, old: string, heir: string): Promise<void> {
  await context.holds(old, undefined);
  for (const store of [context.first, context.second]) {
    equal((await store.load(heir))?.payload, "fresh");
    const left = await store.load(tombstoneHandle(old));
    deepEqual(left && decodeTombstone(left), { secretHash: "old", successors: [heir] });
  }
}
