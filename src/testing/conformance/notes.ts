import { deepEqual, equal, ok } from "node:assert/strict";
import {
  decodeTombstone,
  encodeTombstone,
  NOTE,
  type SessionStore,
  type StoredSession,
  tombstoneHandle,
} from "../../contract/store.ts";
import { accessTo, type Check, type CheckContext, checks, indexChecks, LONG_EXPIRED_MS, pruneAll } from "./check.ts";

const ROUNDS = 10;

const note = `${NOTE}used:1`;

export const notes: readonly Check[] = [
  ...checks({
    "a note is created, updated, touched and deleted as any record": async (context) => {
      const { first, second } = context;
      const record = await context.create(note, { payload: "once" });
      await context.holds(note, record);
      equal(await second.create(note, record), false);
      const next = { ...record, payload: "twice", version: 2 };
      equal(await second.update(note, next, 1), "ok");
      equal(await first.update(note, next, 1), "conflict");
      const later = context.clock.now() + 120_000;
      equal(await first.touch(note, context.clock.now(), later), true);
      await context.holds(note, { ...next, expiresAt: later });
      equal(await second.delete(note), true);
      equal(await first.delete(note), false);
      await context.holds(note, undefined);
      await context.create(note);
      context.clock.advance(60_000);
      await context.holds(note, undefined);
      equal(await second.create(note, context.record()), true);
    },
    "of many concurrent creates of one note, one succeeds": async (context) => {
      for (let round = 0; round < ROUNDS; round++) {
        const made = await Promise.all(
          Array.from({ length: 8 }, async (_, n) => context.connection(n).create(`${note}${round}`, context.record())),
        );
        equal(made.filter(Boolean).length, 1);
      }
    },
  }),
  ...indexChecks({
    "notes are neither listed nor counted, and deleteAll keeps them": async (context) => {
      const { first, second } = context;
      for (let n = 0; n < 3; n++) await first.create(`${note}${n}`, context.record());
      await context.create("anonymous");
      await context.create("users", { userId: "user" });
      equal(await second.count(), 2);
      deepEqual((await second.list({})).sessions.map(({ handle }) => handle).toSorted(), ["anonymous", "users"]);
      equal(await second.deleteAll({ userId: "user" }), 1);
      equal(await second.deleteAll({}), 1);
      for (let n = 0; n < 3; n++) await context.holds(`${note}${n}`, context.record());
      deepEqual(await first.list({}), { sessions: [] });
      equal(await first.count(), 0);
    },
    "prune removes expired notes only": async (context) => {
      await context.create(note);
      const expiresAt = context.clock.now() + 60_000 + LONG_EXPIRED_MS + 1;
      const living = await context.create(`${note}0`, { expiresAt });
      context.clock.set(expiresAt - 1);
      await pruneAll(context.first);
      await context.holds(note, undefined);
      await context.holds(`${note}0`, living);
    },
  }),
  ...checks({
    "a replaced record leaves a tombstone that names the new handle": async (context) => {
      await context.create("old");
      equal(await replaced(context.first, "old", "new", tombstone(context, "new")), "ok");
      await context.holds("old", undefined);
      equal((await context.second.load("new"))?.payload, "fresh");
      await namesHeir(context, "new");
      context.clock.advance(60_000);
      equal(await context.second.load(tombstoneHandle("old")), undefined, "it expires");
    },
    "a tombstone can replace a record": async (context) => {
      await context.create("old", { userId: "user" });
      const { handle, ...record } = tombstone(context, "new");
      equal(await accessTo(context.first).end("old", 2, { handle, ...record }), "conflict");
      equal(await accessTo(context.first).end("old", 1, { handle, ...record }), "ok");
      await context.holds("old", undefined);
      await namesHeir(context, "new");
      equal(await accessTo(context.second).end("old", 1, { ...record, handle, secretHash: "another" }), "gone");
    },
    "after two concurrent replaces the tombstone names the handle that won": async (context) => {
      for (let round = 0; round < ROUNDS; round++) {
        const old = `old${round}`;
        await context.create(old);
        const names = [`a${round}`, `b${round}`];
        const results = await Promise.all(
          names.map((name, n) =>
            replaced(n === 0 ? context.first : context.second, old, name, tombstone(context, name, old)),
          ),
        );
        equal(results.filter((result) => result === "ok").length, 1);
        const left = await context.first.load(tombstoneHandle(old));
        const winner = names[results.indexOf("ok")];
        ok(left !== undefined && winner !== undefined && decodeTombstone(left).successors.includes(winner));
      }
    },
  }),
];

function replaced(store: SessionStore, handle: string, newHandle: string, left: StoredSession) {
  const record = { ...left, payload: "fresh", secretHash: `hash of ${newHandle}` };
  const { handle: _, ...fresh } = record;
  return accessTo(store).replace(handle, 1, newHandle, fresh, left);
}

/** Returns a tombstone as the engine makes them: each has its own secret hash. */
function tombstone(context: CheckContext<SessionStore>, heir: string, of = "old"): StoredSession {
  return {
    handle: tombstoneHandle(of),
    ...context.record({
      payload: encodeTombstone({ secretHash: "old", successors: [heir] }),
      secretHash: `replaced by ${heir}`,
    }),
  };
}

async function namesHeir({ first, second }: CheckContext<SessionStore>, heir: string): Promise<void> {
  for (const store of [first, second]) {
    const left = await store.load(tombstoneHandle("old"));
    deepEqual(left === undefined ? undefined : decodeTombstone(left), { secretHash: "old", successors: [heir] });
  }
}
