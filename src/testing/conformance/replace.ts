import { deepEqual, equal, ok } from "node:assert/strict";
import { type Awaitable, isIndexed, type SessionRecord, type SessionStore } from "../../contract/store.ts";
import { accessTo, type Check, type CheckContext, checks, handlesOf, indexChecks } from "./check.ts";

const ROUNDS = 10;

type Outcome = "ok" | "conflict" | "gone" | "taken";

function replaced(
  store: SessionStore,
  ...call: [handle: string, expectedVersion: number, newHandle: string, record: SessionRecord]
): Awaitable<Outcome> {
  return accessTo(store).replace(...call);
}

export const replace: readonly Check[] = [
  ...checks({
    "replace deletes the old record and stores every field of the new one": async (context) => {
      await context.create("old", { payload: "old", version: 7, userId: "before", secretHash: "old" });
      const now = context.clock.now();
      const next = {
        payload: 'new \u{1f680} "',
        version: 1,
        secretHash: "new",
        userId: "after",
        createdAt: now - 3,
        touchedAt: now - 2,
        expiresAt: now + 90_000,
      };
      equal(await replaced(context.second, "old", 7, "new", { ...next }), "ok");
      await context.holds("old", undefined);
      await context.holds("new", next);
      const anonymous = context.record({ secretHash: "newest" });
      equal(await replaced(context.first, "new", 1, "newest", anonymous), "ok");
      await context.holds("newest", anonymous);
      equal(await context.second.update("newest", { ...anonymous, payload: "on", version: 2 }, 1), "ok");
    },
    "the replaced record is gone for all further calls": async (context) => {
      const old = await context.create("old");
      equal(await replaced(context.first, "old", 1, "new", fresh(context)), "ok");
      const longer = context.clock.now() + 3_600_000;
      for (const store of [context.first, context.second]) {
        equal(await store.update("old", { ...old, version: 2, expiresAt: longer }, 1), "gone");
        equal(await store.touch("old", context.clock.now(), longer), false);
        equal(await store.delete("old"), false);
        equal(await replaced(store, "old", 1, "newer", fresh(context, "newer")), "gone");
      }
      await context.holds("old", undefined);
      await context.holds("new", fresh(context));
      await context.holds("newer", undefined);
    },
    "a replace from another version changes nothing": async (context) => {
      const old = await context.create("old", { version: 5 });
      for (const version of [0, 1, 4, 6])
        equal(await replaced(context.second, "old", version, "new", fresh(context)), "conflict");
      await context.holds("old", old);
      await context.holds("new", undefined);
    },
    "a replace of an unknown, deleted or expired record stores nothing": async (context) => {
      await context.create("deleted");
      await context.first.delete("deleted");
      await context.create("expired");
      context.clock.advance(60_000);
      for (const handle of ["unknown", "deleted", "expired"]) {
        equal(await replaced(context.second, handle, 1, "new", fresh(context)), "gone", handle);
        await context.holds("new", undefined);
      }
    },
    "replace never overwrites the record under the new handle": async (context) => {
      const old = await context.create("old", { userId: "user" });
      const there: SessionRecord | undefined = await context.create("there", { userId: "other", secretHash: "other" });
      equal(await replaced(context.first, "old", 1, "there", fresh(context)), "taken");
      await context.holds("old", old);
      await context.holds("there", there);
      equal(await replaced(context.second, "old", 1, "new", fresh(context)), "ok");
      // The handle of a replaced record is free.
      await context.create("old");
    },
    "replace stores a payload of 1 MiB": async (context) => {
      await context.create("old");
      const large = fresh(context, "new", { payload: "x".repeat(1024 * 1024) });
      equal(await replaced(context.second, "old", 1, "new", large), "ok");
      await context.holds("new", large);
    },
    "the new record has its own expiry": async (context) => {
      const now = context.clock.now();
      for (const [name, before, after] of [
        ["sooner", 90_000, 30_000],
        ["later", 30_000, 90_000],
      ] as const) {
        await context.create(`old ${name}`, { expiresAt: now + before });
        const next = fresh(context, name, { expiresAt: now + after });
        equal(await replaced(context.first, `old ${name}`, 1, name, next), "ok");
      }
      context.clock.advance(30_000);
      await context.holds("sooner", undefined);
      const { first } = context;
      if (isIndexed(first)) await first.prune();
      context.clock.advance(59_999);
      ok(await first.load("later"));
      context.clock.advance(1);
      await context.holds("later", undefined);
    },
    "of many concurrent replaces one wins, and one new record is stored": async (context) => {
      for (let round = 0; round < 5; round++) {
        await context.create(`old${round}`, { userId: "user" });
        const handles = Array.from({ length: 16 }, (_, n) => `new${round}.${n}`);
        const results = await Promise.all(
          handles.map((handle, n) => replaced(context.connection(n), `old${round}`, 1, handle, fresh(context, handle))),
        );
        equal(results.filter((result) => result === "ok").length, 1);
        for (const [n, handle] of handles.entries()) {
          if (results[n] !== "ok") ok(results[n] === "gone" || results[n] === "conflict", results[n]);
          await context.holds(handle, results[n] === "ok" ? fresh(context, handle) : undefined);
        }
        await context.holds(`old${round}`, undefined);
      }
    },
    "a concurrent update or touch takes effect before the replace or not at all": async (context) => {
      for (let round = 0; round < ROUNDS; round++) {
        const record = await context.create(`old${round}`);
        const next = fresh(context, `new${round}`);
        const [updated, result] = await Promise.all([
          context.first.update(`old${round}`, { ...record, payload: "next", version: 2 }, 1),
          replaced(context.second, `old${round}`, 1, `new${round}`, next),
        ]);
        ok(["ok conflict", "gone ok"].includes(`${updated} ${result}`), `${updated} ${result}`);
        await holdsEither(context, round, result);

        const { touchedAt, expiresAt } = await context.create(`touched${round}`);
        const results = await Promise.all([
          context.first.touch(`touched${round}`, touchedAt + 1, expiresAt + 1),
          replaced(context.second, `touched${round}`, 1, `after${round}`, next),
        ]);
        equal(results[1], "ok", "a touch keeps the version");
        await context.holds(`touched${round}`, undefined);
        await context.holds(`after${round}`, next);
      }
    },
    "of a concurrent delete and replace one succeeds": async (context) => {
      for (let round = 0; round < ROUNDS; round++) {
        await context.create(`old${round}`);
        const [deleted, result] = await Promise.all([
          context.first.delete(`old${round}`),
          replaced(context.second, `old${round}`, 1, `new${round}`, fresh(context, `new${round}`)),
        ]);
        equal(result, deleted ? "gone" : "ok");
        await context.holds(`old${round}`, undefined);
        await context.holds(`new${round}`, deleted ? undefined : fresh(context, `new${round}`));
      }
    },
  }),
  ...indexChecks({
    "replace moves a session from one user's list to the other's": async (context) => {
      const { first, second } = context;
      await context.create("kept", { userId: "before" });
      await context.create("old", { userId: "before" });
      equal(await replaced(context.first, "old", 1, "new", fresh(context, "new", { userId: "after" })), "ok");
      deepEqual(await handlesOf(second, { userId: "before" }), ["kept"]);
      deepEqual(await handlesOf(second, { userId: "after" }), ["new"]);
      equal(await second.count({ userId: "before" }), 1);
      equal(await second.count({ userId: "after" }), 1);
      equal(await first.deleteAll({ userId: "before" }), 1);
      await context.holds("new", fresh(context, "new", { userId: "after" }));
      equal(await first.deleteAll({ userId: "after" }), 1);
      deepEqual((await second.list({})).sessions, []);
    },
    "a concurrent replace does not save a session from deleteAll": async (context) => {
      const { first } = context;
      for (let round = 0; round < ROUNDS; round++) {
        for (const handle of [`a${round}`, `m${round}`, `z${round}`]) await context.create(handle, { userId: "user" });
        const next = fresh(context, `new${round}`, { userId: "user" });
        await Promise.all([
          first.deleteAll({ userId: "user" }),
          replaced(context.second, `m${round}`, 1, round % 2 === 0 ? `b${round}` : `y${round}`, next),
        ]);
        deepEqual((await first.list({})).sessions, []);
        equal(await first.count({ userId: "user" }), 0);
      }
    },
    "lists and records agree after a concurrent replace and deleteAll": async (context) => {
      const { first, second } = context;
      for (let round = 0; round < ROUNDS; round++) {
        for (const userId of ["before", "after"]) {
          const [old, handle] = [`old ${userId}${round}`, `new ${userId}${round}`];
          await context.create(old, { userId: "before" });
          const next = fresh(context, handle, { userId: "after" });
          const [ended, result]: [number, Outcome] = await Promise.all([
            second.deleteAll({ userId }),
            replaced(context.first, old, 1, handle, next),
          ]);
          const there: SessionRecord | undefined = await first.load(handle);
          if (userId === "before") equal(result, ended === 1 ? "gone" : "ok");
          else equal(result, "ok");
          equal(there !== undefined, userId === "before" ? result === "ok" : ended === 0);
          deepEqual(await handlesOf(first, { userId: "before" }), []);
          deepEqual(await handlesOf(first, { userId: "after" }), there === undefined ? [] : [handle]);
          await context.holds(old, undefined);
          await first.deleteAll({});
        }
      }
    },
  }),
];

/** Returns the new record of a replace, with its own secret. */
function fresh(
  context: CheckContext<SessionStore>,
  name = "new",
  different: Partial<SessionRecord> = {},
): SessionRecord {
  return context.record({ payload: "fresh", secretHash: `hash of ${name}`, ...different });
}

async function holdsEither(context: CheckContext<SessionStore>, round: number, result: Outcome): Promise<void> {
  const isThere = result === "ok";
  await context.holds(`new${round}`, isThere ? fresh(context, `new${round}`) : undefined);
  equal((await context.first.load(`old${round}`))?.payload, isThere ? undefined : "next");
}
