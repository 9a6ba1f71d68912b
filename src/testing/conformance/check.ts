import { deepEqual, equal } from "node:assert/strict";
import type { IndexedStore, SessionRecord, SessionStore, StoredSession } from "../../contract/store.ts";
import type { ManualClock } from "../manual-clock.ts";

/** One thing that a store must do. */
export type Check =
  | { readonly name: string; readonly needs?: "any text"; run(bench: Bench<SessionStore>): Promise<void> }
  | { readonly name: string; readonly needs: "index"; run(bench: Bench<IndexedStore>): Promise<void> };

/** Two connections to the same empty store, and a clock that stands still. */
export class Bench<Store extends SessionStore> {
  readonly first: Store;
  readonly second: Store;
  readonly clock: ManualClock;

  constructor(first: Store, second: Store, clock: ManualClock) {
    this.first = first;
    this.second = second;
    this.clock = clock;
  }

  /** A record created and used now, which ends in a minute, with whatever should be different. */
  record(different: Partial<SessionRecord> = {}): SessionRecord {
    const now = this.clock.now();
    return {
      payload: '{"views":1}',
      version: 1,
      secretHash: "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
      userId: null,
      createdAt: now,
      touchedAt: now,
      expiresAt: now + 60_000,
      ...different,
    };
  }

  async create(handle: string, different: Partial<SessionRecord> = {}): Promise<SessionRecord> {
    const record = this.record(different);
    equal(await this.first.create(handle, record), true, "a new handle must be free");
    return record;
  }

  /** Both connections must have exactly this under the handle. */
  async holds(handle: string, expected: SessionRecord | undefined): Promise<void> {
    for (const store of [this.first, this.second]) deepEqual(await store.load(handle), expected);
  }
}

/** Every page, with as many sessions as asked for on each but the last. */
export async function pages(
  store: IndexedStore,
  query: { userId?: string; limit: number },
): Promise<readonly (readonly StoredSession[])[]> {
  const all: (readonly StoredSession[])[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list(cursor === undefined ? query : { ...query, cursor });
    all.push(page.sessions);
    cursor = page.cursor;
  } while (cursor !== undefined && all.length < 1_000);
  return all;
}

/** Prunes until nothing expired is left. A store may keep expired records for a few minutes. */
export async function pruneAll(store: IndexedStore): Promise<number> {
  let removed = 0;
  for (let round = 0; round < 1_000; round++) {
    const batch = await store.prune();
    if (batch === 0) return removed;
    removed += batch;
  }
  throw new Error("a thousand prunes, and still something to prune");
}

/** After this long a store must be able to prune what has expired: it may look at expiries coarsely. */
export const LONG_EXPIRED_MS = 5 * 60_000;
