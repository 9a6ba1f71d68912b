import { deepEqual, equal, ok } from "node:assert/strict";
import { systemClock } from "../../contract/clock.ts";
import {
  decodeTombstone,
  encodeTombstone,
  NOTE,
  type SessionStore,
  type StoredSession,
  tombstoneHandle,
} from "../../contract/store.ts";
import { Events } from "../../session/events.ts";
import { StoreAccess } from "../../session/store-access.ts";
import { type Bench, type Check, LONG_EXPIRED_MS, pruneAll } from "./check.ts";

const ROUNDS = 10;
const NO_DEADLINES = { readMs: Number.POSITIVE_INFINITY, commitMs: Number.POSITIVE_INFINITY };

const note = `${NOTE}used:1`;

export const notes: readonly Check[] = [
  {
    name: "a note is kept, compared, moved and ended as any record",
    async run(bench) {
      const { first, second } = bench;
      const record = await bench.create(note, { payload: "once" });
      await bench.holds(note, record);
      equal(await second.create(note, record), false);
      const next = { ...record, payload: "twice", version: 2 };
      equal(await second.update(note, next, 1), "ok");
      equal(await first.update(note, next, 1), "conflict");
      const later = bench.clock.now() + 120_000;
      equal(await first.touch(note, bench.clock.now(), later), true);
      await bench.holds(note, { ...next, expiresAt: later });
      equal(await second.delete(note), true);
      equal(await first.delete(note), false);
      await bench.holds(note, undefined);
      await bench.create(note);
      bench.clock.advance(60_000);
      await bench.holds(note, undefined);
      equal(await second.create(note, bench.record()), true);
    },
  },
  {
    name: "of many that make one note at once, one makes it",
    async run(bench) {
      for (let round = 0; round < ROUNDS; round++) {
        const made = await Promise.all(
          Array.from({ length: 8 }, async (_, n) =>
            (n % 2 === 0 ? bench.first : bench.second).create(`${note}${round}`, bench.record()),
          ),
        );
        equal(made.filter(Boolean).length, 1);
      }
    },
  },
  {
    name: "a note is not listed or counted, nor ended with all sessions",
    needs: "index",
    async run(bench) {
      const { first, second } = bench;
      for (let n = 0; n < 3; n++) await first.create(`${note}${n}`, bench.record());
      await bench.create("anonymous");
      await bench.create("users", { userId: "user" });
      equal(await second.count(), 2);
      deepEqual((await second.list({})).sessions.map(({ handle }) => handle).toSorted(), ["anonymous", "users"]);
      equal(await second.deleteAll({ userId: "user" }), 1);
      equal(await second.deleteAll({}), 1);
      for (let n = 0; n < 3; n++) await bench.holds(`${note}${n}`, bench.record());
      deepEqual(await first.list({}), { sessions: [] });
      equal(await first.count(), 0);
    },
  },
  {
    name: "a note that has expired is pruned, one that has not stays",
    needs: "index",
    async run(bench) {
      await bench.create(note);
      const expiresAt = bench.clock.now() + 60_000 + LONG_EXPIRED_MS + 1;
      const living = await bench.create(`${note}0`, { expiresAt });
      bench.clock.set(expiresAt - 1);
      await pruneAll(bench.first);
      await bench.holds(note, undefined);
      await bench.holds(`${note}0`, living);
    },
  },
  {
    name: "whoever finds a replaced record gone finds the tombstone, which names the new handle",
    async run(bench) {
      await bench.create("old");
      equal(await replaced(bench.first, "old", "new", tombstone(bench, "new")), "ok");
      await bench.holds("old", undefined);
      equal((await bench.second.load("new"))?.payload, "fresh");
      await namesHeir(bench, "new");
      bench.clock.advance(60_000);
      equal(await bench.second.load(tombstoneHandle("old")), undefined, "it expires");
    },
  },
  {
    name: "a tombstone can take a record's place",
    async run(bench) {
      await bench.create("old", { userId: "user" });
      const { handle, ...record } = tombstone(bench, "new");
      equal(await access(bench.first).end("old", 2, { handle, ...record }), "conflict");
      equal(await access(bench.first).end("old", 1, { handle, ...record }), "ok");
      await bench.holds("old", undefined);
      await namesHeir(bench, "new");
      equal(await access(bench.second).end("old", 1, { ...record, handle, secretHash: "another" }), "gone");
    },
  },
  {
    name: "of two that replace one record at once, the tombstone names the one that did",
    async run(bench) {
      for (let round = 0; round < ROUNDS; round++) {
        const old = `old${round}`;
        await bench.create(old);
        const names = [`a${round}`, `b${round}`];
        const results = await Promise.all(
          names.map((name, n) =>
            replaced(n === 0 ? bench.first : bench.second, old, name, tombstone(bench, name, old)),
          ),
        );
        equal(results.filter((result) => result === "ok").length, 1);
        const left = await bench.first.load(tombstoneHandle(old));
        const winner = names[results.indexOf("ok")];
        ok(left !== undefined && winner !== undefined && decodeTombstone(left).successors.includes(winner));
      }
    },
  },
];

function access(store: SessionStore): StoreAccess {
  return new StoreAccess(store, systemClock, NO_DEADLINES, new Events());
}

function replaced(store: SessionStore, handle: string, newHandle: string, left: StoredSession) {
  const record = { ...left, payload: "fresh", secretHash: `hash of ${newHandle}` };
  const { handle: _, ...fresh } = record;
  return access(store).replace(handle, 1, newHandle, fresh, left);
}

/** As the engine leaves one: no two have one secret hash. */
function tombstone(bench: Bench<SessionStore>, heir: string, of = "old"): StoredSession {
  return {
    handle: tombstoneHandle(of),
    ...bench.record({
      payload: encodeTombstone({ secretHash: "old", successors: [heir] }),
      secretHash: `replaced by ${heir}`,
    }),
  };
}

async function namesHeir({ first, second }: Bench<SessionStore>, heir: string): Promise<void> {
  for (const store of [first, second]) {
    const left = await store.load(tombstoneHandle("old"));
    deepEqual(left === undefined ? undefined : decodeTombstone(left), { secretHash: "old", successors: [heir] });
  }
}
