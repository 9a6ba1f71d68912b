import { after } from "../contract/awaitable.ts";
import {
  type Awaitable,
  type IndexedStore,
  isIndexed,
  isTombstone,
  type ReplaceResult,
  type SessionPage,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { Sealer } from "../crypto/seal.ts";

/**
 * A store whose payloads are sealed at rest: whoever takes the database, or a backup of it, reads no data and makes none.
 *
 * A seal is bound to its record: handle, version, user, secret hash and beginning. So no payload can be moved to another
 * row, and none of these columns changed to make one's own session an administrator's. What a touch moves is not bound. A
 * payload that is not this record's seal, plain text too, reads as damaged: never as data (CVE-2026-39324).
 *
 * @param name what the records are: one kind's never opens as another's
 */
export function encrypted(store: SessionStore, ring: KeyRing, name = "record"): SessionStore {
  const sealer = new Sealer(ring, { purpose: "store", name });
  return isIndexed(store) ? new EncryptedIndexedStore(store, sealer) : new EncryptedStore(store, sealer);
}

/** What no codec takes for a payload, so that its record counts as damaged. */
const DAMAGED = "";

class EncryptedStore implements SessionStore {
  readonly synchronousLoad: boolean;
  readonly #store: SessionStore;
  readonly #sealer: Sealer;

  constructor(store: SessionStore, sealer: Sealer) {
    this.synchronousLoad = store.synchronousLoad === true;
    this.#store = store;
    this.#sealer = sealer;
  }

  get capabilities(): Readonly<StoreCapabilities> | undefined {
    return this.#store.capabilities;
  }

  load(handle: string): Awaitable<SessionRecord | undefined> {
    return after(this.#store.load(handle), (record) =>
      record === undefined ? undefined : this.opened(handle, record),
    );
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    return this.#store.create(handle, this.#sealed(handle, record));
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult> {
    return this.#store.update(handle, this.#sealed(handle, record), expectedVersion);
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    return this.#store.touch(handle, touchedAt, expiresAt);
  }

  delete(handle: string): Awaitable<boolean> {
    return this.#store.delete(handle);
  }

  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Awaitable<ReplaceResult> {
    const { replace } = this.#store;
    if (replace === undefined) return "unsupported";
    return replace.call(this.#store, handle, expectedVersion, newHandle, this.#sealed(newHandle, record), tombstone);
  }

  close(): Awaitable<void> {
    return this.#store.close();
  }

  /** The record with its payload readable. */
  protected opened<R extends SessionRecord>(handle: string, record: R): R {
    if (isTombstone(handle)) return record;
    const unsealed = this.#sealer.open(record.payload, bindings(handle, record));
    return { ...record, payload: unsealed === undefined ? DAMAGED : textOf(unsealed.body) };
  }

  /** What a tombstone names are handles, which are no secrets, and stores put several of them together. */
  #sealed(handle: string, record: SessionRecord): SessionRecord {
    if (isTombstone(handle)) return record;
    const payload = this.#sealer.seal(bytesOf(record.payload), bindings(handle, record));
    return { ...record, payload };
  }
}

class EncryptedIndexedStore extends EncryptedStore implements IndexedStore {
  readonly #store: IndexedStore;

  constructor(store: IndexedStore, sealer: Sealer) {
    super(store, sealer);
    this.#store = store;
  }

  list(query: { userId?: string; cursor?: string; limit?: number }): Awaitable<SessionPage> {
    return after(this.#store.list(query), (page) => ({
      ...page,
      sessions: page.sessions.map((session) => this.opened(session.handle, session)),
    }));
  }

  deleteAll(query: { userId?: string; except?: string }): Awaitable<number> {
    return this.#store.deleteAll(query);
  }

  count(query?: { userId?: string }): Awaitable<number> {
    return this.#store.count(query);
  }

  prune(limit?: number): Awaitable<number> {
    return this.#store.prune(limit);
  }
}

function bindings(handle: string, { version, userId, secretHash, createdAt }: SessionRecord): string[] {
  const user = userId === null ? [] : [userId];
  return [handle, String(version), secretHash, String(createdAt), ...user];
}

/** One byte in front tells how a text is written: UTF-8 has no place for half a surrogate pair. */
function bytesOf(text: string): Buffer {
  return text.isWellFormed() ? Buffer.from(`\0${text}`, "utf8") : Buffer.from(`\u0001${text}`, "utf16le");
}

function textOf(bytes: Buffer): string {
  return bytes[0] === 0 ? bytes.toString("utf8", 1) : bytes.toString("utf16le", 2);
}
