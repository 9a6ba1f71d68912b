import { deepEqual, equal } from "node:assert/strict";
import {
  type IndexedStore,
  isIndexed,
  type SessionQuery,
  type SessionRecord,
  type SessionStore,
  type StoredSession,
} from "../../contract/store.ts";
import { systemClock } from "../../contract/time.ts";
import { Events } from "../../session/events.ts";
import { StoreAccess } from "../../session/store-access.ts";
import type { ManualClock } from "../manual-clock.ts";

type Run<Store extends SessionStore> = (context: CheckContext<Store>) => Promise<void>;

/** One requirement of the store contract, and what it needs from the store. */
export type Check =
  | { readonly name: string; readonly needs?: "any text"; readonly run: Run<SessionStore> }
  | { readonly name: string; readonly needs: "index"; readonly run: Run<IndexedStore> }
  | { readonly name: string; readonly needs: "admit"; readonly run: Run<AdmittingStore> };

/** Is a store that can keep a user's limit. */
export type AdmittingStore = IndexedStore & Required<Pick<IndexedStore, "admit">>;

export function canAdmit(store: SessionStore): store is AdmittingStore {
  return isIndexed(store) && store.admit !== undefined;
}

/** Makes checks from their names and functions. */
export function checks(table: Readonly<Record<string, Run<SessionStore>>>): Check[] {
  return Object.entries(table).map(([name, run]) => ({ name, run }));
}

/** Makes checks that only indexed stores can pass. */
export function indexChecks(table: Readonly<Record<string, Run<IndexedStore>>>): Check[] {
  return Object.entries(table).map(([name, run]) => ({ name, needs: "index", run }));
}

/** Gives a check two connections to one empty store, and a manual clock. */
export class CheckContext<Store extends SessionStore> {
  readonly first: Store;
  readonly second: Store;
  readonly clock: ManualClock;

  constructor(first: Store, second: Store, clock: ManualClock) {
    this.first = first;
    this.second = second;
    this.clock = clock;
  }

  /** Alternates between the connections. */
  connection(n: number): Store {
    return n % 2 === 0 ? this.first : this.second;
  }

  /** Returns a record that was created now and expires in a minute. */
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

  /** Asserts that both connections load exactly this record. */
  async holds(handle: string, expected: SessionRecord | undefined): Promise<void> {
    for (const store of [this.first, this.second]) deepEqual(await store.load(handle), expected);
  }
}

/** Calls a store as the engine does, `replace` in steps if it is missing. No deadlines. */
export function accessTo(store: SessionStore): StoreAccess {
  const ms = Number.POSITIVE_INFINITY;
  return new StoreAccess(store, systemClock, { readMs: ms, commitMs: ms }, new Events());
}

/** Returns the handles of one page. */
export async function handlesOf(
  store: IndexedStore,
  query: SessionQuery & { limit?: number; cursor?: string } = {},
): Promise<string[]> {
  return (await store.list(query)).sessions.map(({ handle }) => handle);
}

/** Returns all pages of a list. */
export async function pages(
  store: IndexedStore,
  query: SessionQuery & { limit: number },
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

/** Prunes until no expired record is left. */
export async function pruneAll(store: IndexedStore): Promise<number> {
  let removed = 0;
  for (let round = 0; round < 1_000; round++) {
    const batch = await store.prune();
    if (batch === 0) return removed;
    removed += batch;
  }
  throw new Error("a thousand prunes did not remove all expired records");
}

/** A store may round expiry times, and keep expired records this long. */
export const LONG_EXPIRED_MS = 5 * 60_000;
