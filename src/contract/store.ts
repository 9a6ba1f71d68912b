/**
 * The store contract. A store keeps records under handles. It knows nothing of HTTP, JSON or keys:
 * the payload is opaque text, the secret hash an opaque string, and every time is epoch
 * milliseconds.
 *
 * This file imports nothing, so that every folder may import it and a store's author needs no
 * other. `sojourn/testing` exports the conformance suite that a store must pass.
 */

/** Is a plain value from a synchronous store, and a promise from any other. */
export type Awaitable<T> = T | Promise<T>;

/** Describes what a store keeps under a handle. */
export interface SessionRecord {
  /** The application's data, encoded: any text, 1 MiB and more. A store returns it unchanged. */
  payload: string;
  /** 1 for a new record, one more after each update. */
  version: number;
  /**
   * A hash of the secret that only the browser keeps, so that nothing in a record opens its
   * session: SHA-256, or, for a user's session of an application with a key, an HMAC that also
   * covers the user.
   */
  secretHash: string;
  /** The user who is logged in; `null` before a login. Constant for the life of a handle. */
  userId: string | null;
  /**
   * A name that the application gave the login, such as an identity provider's session ID, of at
   * most 255 bytes. Constant for the life of a handle; absent if it gave none.
   */
  link?: string;
  /** When the session began, in epoch milliseconds. */
  createdAt: number;
  /** The last use that was stored, in epoch milliseconds. */
  touchedAt: number;
  /** Epoch milliseconds. From this instant on the record counts as absent, pruned or not. */
  expiresAt: number;
}

/** Describes a record together with its handle. */
export interface StoredSession extends SessionRecord {
  /** What the store keeps the record under. */
  handle: string;
}

/**
 * Begins the handle of a note: a record that remembers something for a limited time, such as a
 * revocation, a used link, or a session's successor. A store loads, writes, deletes, expires and
 * prunes a note like any record. But a note is no session: a store never lists or counts it,
 * `deleteAll` keeps it, and a store with a limit never evicts it. If nothing else can be evicted,
 * the write fails (`STORE_FULL`).
 */
export const NOTE = "!";

/** Returns whether a handle is a note's. */
export function isNote(handle: string): boolean {
  return handle.startsWith(NOTE);
}

/** Is the outcome of an `update`: done; another update came first; or the session has ended. */
export type UpdateResult = "ok" | "conflict" | "gone";

/**
 * Is the outcome of a `replace`: that of an `update`; or the new handle is in use; or the store's
 * configuration can't replace in one step.
 */
export type ReplaceResult = UpdateResult | "taken" | "unsupported";

/**
 * Is the contract of a store: six methods, and `replace` where the store can do that atomically.
 * Each may return a plain value or a promise. A store reports a failure by throwing or rejecting,
 * never by a value: "I don't know" must not look like "there is none".
 */
export interface SessionStore {
  /**
   * `true` if `load` always returns a plain value. Sojourn reads such a store when the application
   * first reads `req.session`, and not at all for a request that doesn't.
   */
  readonly synchronousLoad?: boolean;
  /** What this store guarantees beyond the contract; `sessions.capabilities` shows it. */
  readonly capabilities?: Readonly<StoreCapabilities> | undefined;
  /** Returns the record under this handle, or `undefined`; never an expired one. One round trip. */
  load(handle: string): Awaitable<SessionRecord | undefined>;
  /** Stores a new record. Returns `false` and writes nothing if an unexpired one has the handle. */
  create(handle: string, record: SessionRecord): Awaitable<boolean>;
  /**
   * Replaces the record if its version is `expectedVersion`. Atomic, and one round trip if it
   * succeeds. Returns `"gone"` if there is no unexpired record under the handle: an update never
   * creates one. A record that has expired already (`expiresAt` 0) ends the session: it is gone
   * from this instant on, and the store may delete it.
   */
  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult>;
  /**
   * Moves `touchedAt` and `expiresAt` of an unexpired record forward, never backwards: a touch may
   * arrive after a later one, or after an update that gave the session a longer life. Payload and
   * version stay. Returns `false` if there is no such record: a touch never creates one.
   */
  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean>;
  /** Deletes the record. Returns `true` if an unexpired one was there. */
  delete(handle: string): Awaitable<boolean>;
  /**
   * Ends the record under `handle` if its version is `expectedVersion`, and stores `record`, which
   * may be another user's, under `newHandle`. Atomic, one round trip: at every instant exactly one
   * of the two exists. Any result but `"ok"` means that nothing changed. An expired record under
   * the new handle may count as `"taken"`. Without this method a login is a `create`, and then an
   * `update` that ends the old session.
   *
   * No two records have one secret hash. So a store that repeats a call whose reply was lost
   * recognizes its own work by the hash, and returns `"ok"`.
   *
   * A `tombstone` is a note that names the new handle in its payload. A request that finds the old
   * record gone must find the tombstone, so a store writes it in the same step, or before. If it
   * writes it before and one exists already, the new one names the handles of both, separated by
   * spaces. It may stay behind if the result is not `"ok"`.
   */
  replace?(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Awaitable<ReplaceResult>;
  /** Closes the store's connections, files and timers. Idempotent; the process can then exit. */
  close(): Awaitable<void>;
}

/** Holds one page of a list of sessions. */
export interface SessionPage {
  /** At most `limit` of them. */
  sessions: StoredSession[];
  /** Pass it to the next `list` for the following page; absent on the last one. */
  cursor?: string;
}

/**
 * Selects one user's sessions, those of one link, or all. With both a user and a link, a store
 * throws a `TypeError`, and does nothing.
 */
export interface SessionQuery {
  userId?: string;
  link?: string;
}

/** Describes a login of a user who may have only so many sessions. */
export interface Admission {
  /** The handle and the record of the new session, which has a user. */
  session: StoredSession;
  /** How many unexpired sessions the user may have, the new one included: 1 or more. */
  limit: number;
  /** What happens if there are more: the ones used longest ago end, or the new one is refused. */
  exceed: "revoke-oldest" | "refuse";
  /** The session that the new one replaces, as {@link SessionStore.replace} does. It doesn't count. */
  replaces?: { handle: string; expectedVersion: number; tombstone?: StoredSession };
}

/**
 * Is the outcome of an `admit`: done, with the handles that were revoked; the user has enough
 * sessions; or that of a `create` or `replace` that changed nothing.
 */
export type AdmissionResult =
  | { result: "ok"; revoked: readonly string[] }
  | { result: "limit" | "taken" | "conflict" | "gone" | "unsupported" };

/** Is a store that can also list, count and prune sessions. All stores of Sojourn are. */
export interface IndexedStore extends SessionStore {
  /**
   * Returns unexpired sessions: one user's or one link's with the latest use (`touchedAt`) first;
   * everyone's in an order of the store's own, which no use of a session changes. `limit` defaults
   * to 100. A session that is not used while the pages are read is on exactly one of them; of
   * everyone's, so is one that is used.
   */
  list(query: SessionQuery & { cursor?: string; limit?: number }): Awaitable<SessionPage>;
  /**
   * Deletes all sessions, one user's or one link's, except the one under `except`, in one
   * statement or script. Returns how many.
   */
  deleteAll(query: SessionQuery & { except?: string }): Awaitable<number>;
  /**
   * Counts unexpired sessions, one user's or one link's. Without either it may count expired ones
   * that were not pruned yet.
   */
  count(query?: SessionQuery): Awaitable<number>;
  /**
   * Stores a new session and keeps its user's limit, in one atomic step: however many processes
   * admit sessions of one user at once, at most `limit` unexpired ones are left after each. Any
   * result but `"ok"` means that nothing changed, except that a tombstone may stay behind. A call
   * that is repeated, because its reply was lost, is recognized by the secret hash: it returns
   * `"ok"`, and names no handles that the first one revoked. Without this method `maxSessionsPerUser` is refused.
   */
  admit?(admission: Admission): Awaitable<AdmissionResult>;
  /**
   * Deletes at most `limit` (default 1,000) expired records and returns how many. Its cost depends
   * on what expired, not on what lives. It never deletes a record that a touch has just moved.
   */
  prune(limit?: number): Awaitable<number>;
}

/** Describes what a store guarantees beyond the contract. */
export interface StoreCapabilities {
  /** What an acknowledged write survives. */
  durable: "no" | "process-crash" | "power-loss";
  /** Whether several processes may share the store. */
  shared: boolean;
  /** Whether `create` and `update` look and write in one atomic step. */
  atomicUpdate: boolean;
  /** Whether the store is an {@link IndexedStore}. */
  indexed: boolean;
}

/** Returns whether a store can list, count and prune. */
export function isIndexed(store: SessionStore): store is IndexedStore {
  const candidate = store as Partial<IndexedStore>;
  return (
    typeof candidate.list === "function" &&
    typeof candidate.deleteAll === "function" &&
    typeof candidate.count === "function" &&
    typeof candidate.prune === "function"
  );
}

/** Begins handles of tombstones, which several callers may write; see {@link leaveTombstone}. */
const TOMBSTONE = `${NOTE}replaced:`;

/** The most attempts to write a tombstone. Each failure means that another caller succeeded. */
const TRIES = 50;

/** Returns the handle of a session's tombstone. */
export function tombstoneHandle(handle: string): string {
  return TOMBSTONE + handle;
}

export function isTombstone(handle: string): boolean {
  return handle.startsWith(TOMBSTONE);
}

/** The content of a tombstone: the old session's secret hash, and the new handles. */
export interface Tombstone {
  secretHash: string;
  successors: readonly string[];
}

export function encodeTombstone({ secretHash, successors }: Tombstone): string {
  return [secretHash, ...successors].join(" ");
}

export function decodeTombstone({ payload }: { payload: string }): Tombstone {
  const [secretHash = "", ...successors] = payload.split(" ");
  return { secretHash, successors };
}

/**
 * Writes a tombstone before its session is replaced, for a store that can't do both in one step. An
 * early tombstone does no harm, because it matters only once its session is gone. If several
 * callers try to replace one session, the tombstone names all their new handles, because one of
 * them succeeds.
 */
export async function leaveTombstone(
  store: Pick<SessionStore, "create" | "load" | "update">,
  { handle, ...record }: StoredSession,
): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (await store.create(handle, record)) return;
    const there = await store.load(handle);
    if (there === undefined) continue;
    const [one, other] = [decodeTombstone(there), decodeTombstone(record)];
    const payload = encodeTombstone({ ...other, successors: [...new Set([...one.successors, ...other.successors])] });
    const expiresAt = Math.max(there.expiresAt, record.expiresAt);
    const both = { ...record, payload, expiresAt, createdAt: there.createdAt, version: there.version + 1 };
    if ((await store.update(handle, both, there.version)) === "ok") return;
  }
  throw new Error("other callers kept replacing the same session");
}
