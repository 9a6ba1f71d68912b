import { deepEqual, equal, ok } from "node:assert/strict";
import { systemClock } from "../../contract/clock.ts";
import { type Awaitable, isIndexed, type SessionRecord, type SessionStore } from "../../contract/store.ts";
import { Events } from "../../session/events.ts";
import { StoreAccess } from "../../session/store-access.ts";
import type { Bench, Check } from "./check.ts";

const ROUNDS = 10;
const NO_DEADLINES = { readMs: Number.POSITIVE_INFINITY, commitMs: Number.POSITIVE_INFINITY };

/** As a login does it: in one step where the store has a `replace`, else in two. */
function replaced(
  store: SessionStore,
  ...call: [handle: string, expectedVersion: number, newHandle: string, record: SessionRecord]
): Awaitable<Outcome> {
  return new StoreAccess(store, systemClock, NO_DEADLINES, new Events()).replace(...call);
}

type Outcome = "ok" | "conflict" | "gone" | "taken";

export const replace: readonly Check[] = [
  {
    name: "ends the old record and stores the new one, every field of it",
    async run(bench) {
      await bench.create("old", { payload: "old", version: 7, userId: "before", secretHash: "old" });
      const now = bench.clock.now();
      const next = {
        payload: 'new \u{1f680} "',
        version: 1,
        secretHash: "new",
        userId: "after",
        createdAt: now - 3,
        touchedAt: now - 2,
        expiresAt: now + 90_000,
      };
      equal(await replaced(bench.second, "old", 7, "new", { ...next }), "ok");
      await bench.holds("old", undefined);
      await bench.holds("new", next);
      const anonymous = bench.record({ secretHash: "newest" });
      equal(await replaced(bench.first, "new", 1, "newest", anonymous), "ok");
      await bench.holds("newest", anonymous);
      equal(await bench.second.update("newest", { ...anonymous, payload: "on", version: 2 }, 1), "ok");
    },
  },
  {
    name: "the ended record is gone for whoever still works with it",
    async run(bench) {
      const old = await bench.create("old");
      equal(await replaced(bench.first, "old", 1, "new", fresh(bench)), "ok");
      const longer = bench.clock.now() + 3_600_000;
      for (const store of [bench.first, bench.second]) {
        equal(await store.update("old", { ...old, version: 2, expiresAt: longer }, 1), "gone");
        equal(await store.touch("old", bench.clock.now(), longer), false);
        equal(await store.delete("old"), false);
        equal(await replaced(store, "old", 1, "newer", fresh(bench, "newer")), "gone");
      }
      await bench.holds("old", undefined);
      await bench.holds("new", fresh(bench));
      await bench.holds("newer", undefined);
    },
  },
  {
    name: "from another version it changes nothing",
    async run(bench) {
      const old = await bench.create("old", { version: 5 });
      for (const version of [0, 1, 4, 6])
        equal(await replaced(bench.second, "old", version, "new", fresh(bench)), "conflict");
      await bench.holds("old", old);
      await bench.holds("new", undefined);
    },
  },
  {
    name: "of a record that is unknown, deleted or expired it stores nothing",
    async run(bench) {
      await bench.create("deleted");
      await bench.first.delete("deleted");
      await bench.create("expired");
      bench.clock.advance(60_000);
      for (const handle of ["unknown", "deleted", "expired"]) {
        equal(await replaced(bench.second, handle, 1, "new", fresh(bench)), "gone", handle);
        await bench.holds("new", undefined);
      }
    },
  },
  {
    name: "never overwrites what is under the new handle",
    async run(bench) {
      const old = await bench.create("old", { userId: "user" });
      const there: SessionRecord | undefined = await bench.create("there", { userId: "other", secretHash: "other" });
      equal(await replaced(bench.first, "old", 1, "there", fresh(bench)), "taken");
      await bench.holds("old", old);
      await bench.holds("there", there);
      equal(await replaced(bench.second, "old", 1, "new", fresh(bench)), "ok");
      // The handle of an ended record is as free as any.
      await bench.create("old");
    },
  },
  {
    name: "a payload of 1 MiB",
    async run(bench) {
      await bench.create("old");
      const large = fresh(bench, "new", { payload: "x".repeat(1024 * 1024) });
      equal(await replaced(bench.second, "old", 1, "new", large), "ok");
      await bench.holds("new", large);
    },
  },
  {
    name: "the new record ends in its own time, whatever the old one's was",
    async run(bench) {
      const now = bench.clock.now();
      for (const [name, before, after] of [
        ["sooner", 90_000, 30_000],
        ["later", 30_000, 90_000],
      ] as const) {
        await bench.create(`old ${name}`, { expiresAt: now + before });
        const next = fresh(bench, name, { expiresAt: now + after });
        equal(await replaced(bench.first, `old ${name}`, 1, name, next), "ok");
      }
      bench.clock.advance(30_000);
      await bench.holds("sooner", undefined);
      const { first } = bench;
      if (isIndexed(first)) await first.prune();
      bench.clock.advance(59_999);
      ok(await first.load("later"));
      bench.clock.advance(1);
      await bench.holds("later", undefined);
    },
  },
  {
    name: "moves a session from one user's list to the other's",
    async run(bench) {
      const { first, second } = bench;
      if (!isIndexed(first) || !isIndexed(second)) return;
      await bench.create("kept", { userId: "before" });
      await bench.create("old", { userId: "before" });
      equal(await replaced(bench.first, "old", 1, "new", fresh(bench, "new", { userId: "after" })), "ok");
      deepEqual(await handlesOf(second, "before"), ["kept"]);
      deepEqual(await handlesOf(second, "after"), ["new"]);
      equal(await second.count({ userId: "before" }), 1);
      equal(await second.count({ userId: "after" }), 1);
      equal(await first.deleteAll({ userId: "before" }), 1);
      await bench.holds("new", fresh(bench, "new", { userId: "after" }));
      equal(await first.deleteAll({ userId: "after" }), 1);
      deepEqual((await second.list({})).sessions, []);
    },
  },
  {
    name: "of many at once one wins, and one new record is there",
    async run(bench) {
      for (let round = 0; round < 5; round++) {
        await bench.create(`old${round}`, { userId: "user" });
        const handles = Array.from({ length: 16 }, (_, n) => `new${round}.${n}`);
        const results = await Promise.all(
          handles.map((handle, n) => replaced(of(bench, n), `old${round}`, 1, handle, fresh(bench, handle))),
        );
        equal(results.filter((result) => result === "ok").length, 1);
        for (const [n, handle] of handles.entries()) {
          if (results[n] !== "ok") ok(results[n] === "gone" || results[n] === "conflict", results[n]);
          await bench.holds(handle, results[n] === "ok" ? fresh(bench, handle) : undefined);
        }
        await bench.holds(`old${round}`, undefined);
      }
    },
  },
  {
    name: "an update or a touch at the same time comes before it or not at all",
    async run(bench) {
      for (let round = 0; round < ROUNDS; round++) {
        const record = await bench.create(`old${round}`);
        const next = fresh(bench, `new${round}`);
        const [updated, result] = await Promise.all([
          bench.first.update(`old${round}`, { ...record, payload: "next", version: 2 }, 1),
          replaced(bench.second, `old${round}`, 1, `new${round}`, next),
        ]);
        const possible = [
          ["ok", "conflict"],
          ["gone", "ok"],
        ];
        ok(
          possible.some(([a, b]) => a === updated && b === result),
          `${updated} and ${result}`,
        );
        await holdsEither(bench, round, result);

        const { touchedAt, expiresAt } = await bench.create(`touched${round}`);
        const results = await Promise.all([
          bench.first.touch(`touched${round}`, touchedAt + 1, expiresAt + 1),
          replaced(bench.second, `touched${round}`, 1, `after${round}`, next),
        ]);
        equal(results[1], "ok", "a touch is no other version");
        await bench.holds(`touched${round}`, undefined);
        await bench.holds(`after${round}`, next);
      }
    },
  },
  {
    name: "a delete at the same time: the record is gone, and the new one there only if it came first",
    async run(bench) {
      for (let round = 0; round < ROUNDS; round++) {
        await bench.create(`old${round}`);
        const [deleted, result] = await Promise.all([
          bench.first.delete(`old${round}`),
          replaced(bench.second, `old${round}`, 1, `new${round}`, fresh(bench, `new${round}`)),
        ]);
        equal(result, deleted ? "gone" : "ok");
        await bench.holds(`old${round}`, undefined);
        await bench.holds(`new${round}`, deleted ? undefined : fresh(bench, `new${round}`));
      }
    },
  },
  {
    name: "no new handle saves a user's session from the end of all of them",
    async run(bench) {
      const { first } = bench;
      if (!isIndexed(first)) return;
      for (let round = 0; round < ROUNDS; round++) {
        for (const handle of [`a${round}`, `m${round}`, `z${round}`]) await bench.create(handle, { userId: "user" });
        const next = fresh(bench, `new${round}`, { userId: "user" });
        await Promise.all([
          first.deleteAll({ userId: "user" }),
          replaced(bench.second, `m${round}`, 1, round % 2 === 0 ? `b${round}` : `y${round}`, next),
        ]);
        deepEqual((await first.list({})).sessions, []);
        equal(await first.count({ userId: "user" }), 0);
      }
    },
  },
  {
    name: "when all sessions of the user before or of the user after are ended meanwhile, lists and records agree",
    async run(bench) {
      const { first, second } = bench;
      if (!isIndexed(first) || !isIndexed(second)) return;
      for (let round = 0; round < ROUNDS; round++) {
        for (const userId of ["before", "after"]) {
          const [old, handle] = [`old ${userId}${round}`, `new ${userId}${round}`];
          await bench.create(old, { userId: "before" });
          const next = fresh(bench, handle, { userId: "after" });
          const [ended, result]: [number, Outcome] = await Promise.all([
            second.deleteAll({ userId }),
            replaced(bench.first, old, 1, handle, next),
          ]);
          const there: SessionRecord | undefined = await first.load(handle);
          if (userId === "before") equal(result, ended === 1 ? "gone" : "ok");
          else equal(result, "ok");
          equal(there !== undefined, userId === "before" ? result === "ok" : ended === 0);
          deepEqual(await handlesOf(first, "before"), []);
          deepEqual(await handlesOf(first, "after"), there === undefined ? [] : [handle]);
          await bench.holds(old, undefined);
          await first.deleteAll({});
        }
      }
    },
  },
];

/** The record that replaces, with a secret of its own. */
function fresh(bench: Bench<SessionStore>, name = "new", different: Partial<SessionRecord> = {}): SessionRecord {
  return bench.record({ payload: "fresh", secretHash: `hash of ${name}`, ...different });
}

async function holdsEither(bench: Bench<SessionStore>, round: number, result: Outcome): Promise<void> {
  const isThere = result === "ok";
  await bench.holds(`new${round}`, isThere ? fresh(bench, `new${round}`) : undefined);
  equal((await bench.first.load(`old${round}`))?.payload, isThere ? undefined : "next");
}

async function handlesOf(store: Parameters<typeof isIndexed>[0], userId: string): Promise<string[]> {
  if (!isIndexed(store)) return [];
  return (await store.list({ userId })).sessions.map(({ handle }) => handle).toSorted();
}

function of(bench: Bench<SessionStore>, n: number): SessionStore {
  return n % 2 === 0 ? bench.first : bench.second;
}
