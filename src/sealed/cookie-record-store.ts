import {
  type Awaitable,
  isNote,
  type ReplaceResult,
  type SessionQuery,
  type SessionRecord,
  type SessionStore,
  type UpdateResult,
} from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import type { Overflow } from "./overflow.ts";
import type { Sealed } from "./record.ts";
import { noRevocations, type RevocationList } from "./revocation-list.ts";

export interface CookieRecordOptions {
  clock: Clock;
  revocations: RevocationList | undefined;
  /** The store for payloads that do not fit. */
  overflow: { records: Overflow; fits: (record: SessionRecord) => boolean } | undefined;
  /** The session that the request's token carried. */
  incoming: Sealed | undefined;
}

/**
 * Implements a store over one request's token. It holds the record that the token carried and what
 * the request stores, so the engine works as with any store. The response seals the final state.
 */
export class CookieRecordStore implements SessionStore {
  readonly #records = new Map<string, SessionRecord>();
  /** The names of the overflow records, by handle. */
  readonly #overflowKeys = new Map<string, string>();
  /** When a session begins, by handle, if later than its record says. */
  readonly #beginnings = new Map<string, number>();
  readonly #options: CookieRecordOptions;

  constructor(options: CookieRecordOptions) {
    this.#options = options;
    const { incoming } = options;
    if (incoming === undefined) return;
    this.#records.set(incoming.handle, incoming.record);
    if (incoming.overflowKey !== undefined) this.#overflowKeys.set(incoming.handle, incoming.overflowKey);
  }

  /** Returns what the seal of a session must hold. */
  outgoing(handle: string, record: SessionRecord): Sealed {
    const createdAt = this.#beginnings.get(handle) ?? record.createdAt;
    const overflowKey = this.#overflowKeys.get(handle);
    return { handle, record: { ...record, createdAt }, ...(overflowKey !== undefined && { overflowKey }) };
  }

  /** Returns a record even if it expires during the request: a running request is a use. */
  load(handle: string): SessionRecord | undefined {
    return this.#records.get(handle);
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    return after(this.#begin(handle, record), () => after(this.#put(handle, record), () => true));
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult> {
    const current = this.load(handle);
    if (current === undefined) return "gone";
    if (current.version !== expectedVersion) return "conflict";
    if (record.expiresAt <= this.#options.clock.now()) return this.#end(handle);
    return after(this.#put(handle, record), () => "ok");
  }

  /** Stores the new session first, so that the old one survives a failure. */
  replace(handle: string, expectedVersion: number, newHandle: string, record: SessionRecord): Awaitable<ReplaceResult> {
    const current = this.load(handle);
    if (current === undefined) return "gone";
    if (current.version !== expectedVersion) return "conflict";
    // A tombstone is useless: only the cookie names the successor.
    if (isNote(newHandle)) return this.#end(handle);
    return after(this.create(newHandle, record), () => this.#end(handle));
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    const current = this.load(handle);
    if (current === undefined) return false;
    const key = this.#overflowKeys.get(handle);
    const isThere = key === undefined || this.#options.overflow?.records.touch(key, touchedAt, expiresAt);
    return after(isThere, (isKept) => {
      if (isKept === true) this.#records.set(handle, { ...current, touchedAt, expiresAt });
      else this.#records.delete(handle);
      return isKept === true;
    });
  }

  /**
   * Ends the session. Without a revocation list it ends in this browser alone: a copy of the seal
   * that holds its data works until its own deadline.
   */
  delete(handle: string): Awaitable<boolean> {
    const record = this.#records.get(handle);
    return after(this.#options.revocations?.end(handle, record), () =>
      after(this.#deleteOverflow(handle), () => this.#records.delete(handle)),
    );
  }

  /** Ends all of a user's sessions except one, by one note. Returns 1: their number is unknown. */
  async deleteAll({ userId, except }: SessionQuery & { except?: string }): Promise<number> {
    const { revocations } = this.#options;
    if (revocations === undefined || userId === undefined) throw noRevocations("revokeAll");
    await revocations.endUser(userId, except);
    return 1;
  }

  close(): void {}

  /** Makes sure that no earlier revocation covers a user's new session. */
  #begin(handle: string, record: SessionRecord): Awaitable<void> {
    const { userId, createdAt } = record;
    const { revocations, incoming } = this.#options;
    if (userId === null || revocations === undefined) return undefined;
    if (incoming !== undefined && incoming.record.userId === userId && incoming.record.createdAt === createdAt) {
      // A session that survived `revokeAll` as the exception stays the exception under its new
      // handle.
      return revocations.rename(userId, incoming.handle, { handle, createdAt });
    }
    return after(revocations.beginning(record), (beginning) => {
      if (beginning !== createdAt) this.#beginnings.set(handle, beginning);
    });
  }

  #put(handle: string, record: SessionRecord): Awaitable<void> {
    const { overflow, incoming } = this.#options;
    const put = overflow === undefined || overflow.fits(record) ? undefined : overflow.records.put(handle, record);
    return after(put, (key) => {
      const before = this.#overflowKeys.get(handle);
      this.#records.set(handle, record);
      if (key === undefined) this.#overflowKeys.delete(handle);
      else this.#overflowKeys.set(handle, key);
      // Deletes a record that this request wrote and never sent. The incoming one stays: a parallel
      // response may name it.
      if (before !== undefined && before !== incoming?.overflowKey) overflow?.records.abandon(before);
    });
  }

  #end(handle: string): Awaitable<"ok"> {
    return after(this.delete(handle), () => "ok");
  }

  /** Deletes one after the other: if both failed at once, the second failure would be lost. */
  #deleteOverflow(handle: string): Awaitable<unknown> {
    const { overflow, incoming } = this.#options;
    const own = this.#overflowKeys.get(handle);
    const incomingKey = handle === incoming?.handle ? incoming.overflowKey : undefined;
    return after(own === undefined ? undefined : overflow?.records.delete(own), () =>
      incomingKey === undefined || incomingKey === own ? undefined : overflow?.records.delete(incomingKey),
    );
  }
}
