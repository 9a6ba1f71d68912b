import { deepEqual, equal, ok } from "node:assert/strict";
import { encodeTombstone, type SessionRecord, type StoredSession, tombstoneHandle } from "../../src/contract/store.ts";
import type { FileStore } from "../../src/stores/file.ts";
import { ManualClock } from "../../src/testing/index.ts";

/** Stands still at `now` when a scene begins. */
export const clock = new ManualClock();
export const now = clock.now();
export const HOUR_MS = 3_600_000;

export function recordOf(different: Partial<SessionRecord> = {}): SessionRecord {
  const times = { createdAt: now, touchedAt: now, expiresAt: now + HOUR_MS };
  return { payload: "old", version: 1, secretHash: "hash", userId: "user", ...times, ...different };
}

export const old = recordOf();
const later = { ...old, touchedAt: now + 1_000, expiresAt: now + 2 * HOUR_MS };
const updated = recordOf({ payload: "new".repeat(1_000), version: 2, expiresAt: now + 2 * HOUR_MS });
const shortened = recordOf({ version: 2, expiresAt: now + 60_000 });
const heir = recordOf({ payload: "heir", secretHash: "another" });
const expired = recordOf({ payload: "expired", expiresAt: now + 1 });

/** Something that a store does, with what may be seen before and after. */
export interface Scene {
  what: string;
  before?: (store: FileStore) => Promise<unknown>;
  work(store: FileStore): Promise<unknown>;
  /** What "handle" is before and after; nothing else may ever be seen. */
  from: SessionRecord | undefined;
  to: SessionRecord | undefined;
  /** What takes the place of "handle", under that very name. */
  heir?: SessionRecord;
  /** Other sessions that are over when it is done. */
  ends?: readonly string[];
  /** Acknowledged before the disk has it. */
  mayBeUndone?: boolean;
}

const tombstone: StoredSession = {
  handle: tombstoneHandle("handle"),
  ...recordOf({ payload: encodeTombstone({ secretHash: "hash", successors: ["heir"] }), userId: null }),
};

const withOld = (store: FileStore) => store.create("handle", old);
const withOldest = (store: FileStore) =>
  store.create("oldest", recordOf({ touchedAt: now - 1, secretHash: "the oldest one's" }));

export const scenes: readonly Scene[] = [
  { what: "the first session of all", work: withOld, from: undefined, to: old },
  {
    what: "a new session",
    before: (store) => store.create("another", old),
    work: withOld,
    from: undefined,
    to: old,
  },
  {
    what: "a new session in the place of an expired one",
    async before(store) {
      await store.create("handle", expired);
      clock.advance(1);
    },
    work: (store) => store.create("handle", old),
    from: undefined,
    to: old,
  },
  { what: "an update", before: withOld, work: (store) => store.update("handle", updated, 1), from: old, to: updated },
  {
    what: "an update that brings the end nearer",
    before: withOld,
    work: (store) => store.update("handle", shortened, 1),
    from: old,
    to: shortened,
  },
  {
    what: "a touch",
    before: withOld,
    work: (store) => store.touch("handle", later.touchedAt, later.expiresAt),
    from: old,
    to: later,
    mayBeUndone: true,
  },
  {
    what: "a session in the place of another",
    before: withOld,
    work: (store) => store.replace("handle", 1, "heir", heir),
    from: old,
    to: undefined,
    heir,
  },
  {
    what: "a login within a limit",
    before: withOldest,
    work: (store) => store.admit({ session: { handle: "handle", ...old }, limit: 1, exceed: "revoke-oldest" }),
    from: undefined,
    to: old,
    ends: ["oldest"],
  },
  {
    what: "a login within a limit in the place of another session",
    async before(store) {
      await withOldest(store);
      await withOld(store);
    },
    work: (store) =>
      store.admit({
        session: { handle: "heir", ...heir },
        limit: 1,
        exceed: "revoke-oldest",
        replaces: { handle: "handle", expectedVersion: 1, tombstone },
      }),
    from: old,
    to: undefined,
    heir,
    ends: ["oldest"],
  },
  { what: "a logout", before: withOld, work: (store) => store.delete("handle"), from: old, to: undefined },
  {
    what: "an end by update",
    before: withOld,
    work: (store) => store.update("handle", { ...old, version: 2, expiresAt: 0 }, 1),
    from: old,
    to: undefined,
  },
  {
    what: "the end of all of a user's sessions",
    async before(store) {
      await withOld(store);
      await store.create("another", old);
    },
    work: (store) => store.deleteAll({ userId: "user" }),
    from: old,
    to: undefined,
  },
  {
    what: "a sweep that finds one session expired and another one touched",
    async before(store) {
      await store.create("another", expired);
      await store.create("handle", { ...old, expiresAt: now + 1 });
      await store.touch("handle", later.touchedAt, later.expiresAt);
      clock.advance(300_000);
    },
    work: (store) => store.prune(),
    from: later,
    to: later,
  },
];

/** What is there is the old or the new, and the indexes agree. */
export async function inspect(
  next: FileStore,
  { from, to, heir, ends = [] }: Scene,
  isDone: boolean,
  when: string,
): Promise<void> {
  const found = await next.load("handle");
  if (isDone) deepEqual(found, to, "an acknowledged change");
  else {
    const isOld = JSON.stringify(found) === JSON.stringify(from);
    if (!isOld) deepEqual(found, to, when);
  }
  if (heir !== undefined) deepEqual(await next.load("heir"), found === undefined ? heir : undefined, when);
  const isOver = heir === undefined ? found !== undefined : found === undefined;
  for (const handle of ends) {
    const isThere = (await next.load(handle)) !== undefined;
    if (isDone) equal(isThere, false, when);
    // Nobody loses a session for a login that did not happen.
    else if (!isOver) equal(isThere, true, when);
  }
  if (heir !== undefined && ends.length > 0 && found === undefined) ok(await next.load(tombstone.handle), when);
  // The indexes name what can be loaded, all of it and nothing else.
  const { sessions } = await next.list({ userId: "user" });
  for (const { handle, ...record } of sessions) deepEqual(await next.load(handle), record, when);
  equal(
    sessions.some(({ handle }) => handle === "handle"),
    found !== undefined,
    when,
  );
  equal(await next.count({ userId: "user" }), sessions.length, when);
  deepEqual((await next.list({})).sessions.length, sessions.length, when);
}
