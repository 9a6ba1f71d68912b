import { SojournError } from "../contract/errors.ts";
import {
  type IndexedStore,
  isNote,
  type ReplaceResult,
  type SessionPage,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import { type Clock, queueMicrotask, systemClock } from "../contract/time.ts";
import { areNames } from "./memory/name.ts";
import { NONE } from "./memory/rows.ts";
import { bytesFor, Table } from "./memory/table.ts";
import { checkedLimit, decodeCursor, encodeCursor, Newest, nextPage } from "./paging.ts";

export type * from "../contract/types.ts";

/** What {@link MemoryStore} can be told. */
export interface MemoryStoreOptions {
  /** How many sessions there is room for. Default 100,000. */
  maxEntries?: number | undefined;
  /**
   * How many bytes of text, payloads nearly all of it: one a character, or two in a text with characters beyond Latin-1.
   * Default 256 MiB. A session takes about 110 bytes besides, and what was read lately is held a second time, up to 8 MiB of it.
   */
  maxBytes?: number | undefined;
  /** Called after a session that had not expired was given up for want of room. */
  onEvict?: ((evicted: { handle: string; userId: string | null }) => void) | undefined;
  /** Says that nobody minds losing every session at a restart, so no warning is needed. Default `false`. */
  acceptLossOnRestart?: boolean | undefined;
  /** Default: the machine's time. */
  clock?: Clock | undefined;
}

/** How many expired sessions each write takes along: more than the one that it can add, so they never pile up. */
const SWEPT_PER_WRITE = 4;

/** How many sessions `list` of everyone looks at for a page; where most of them have expired, the page is shorter. */
const SEEN_PER_PAGE = 5_000;

let warned = false;

/**
 * Sessions in this process's memory: for development, for tests, and for applications that may forget.
 *
 * Synchronous, and bounded: at its limits it gives up expired sessions first, then the anonymous one whose last
 * recorded use is oldest, and a user's only when no anonymous one is left (a flood of visitors signs nobody out).
 * No timer and no scan: expired sessions go a few with each write, so a million of them never stop the process.
 * Notes (that a session was revoked, that a link was used) are not given up before their time. When they alone fill the
 * store, writes fail with `STORE_FULL`.
 *
 * In production it prints one warning: a restart ends every session, and a second process has its own.
 *
 * @throws TypeError for an impossible option. Its methods throw a {@link SojournError}: `TOO_LARGE` for a session
 * that alone is over `maxBytes`, `STORE_FULL` where notes leave no room, `STORE_CLOSED` after `close`.
 * @example
 * import { MemoryStore, session } from "sojourn";
 *
 * const sessions = session({ store: new MemoryStore({ maxEntries: 10_000 }) });
 */
export class MemoryStore implements IndexedStore {
  readonly synchronousLoad = true;
  readonly capabilities: Readonly<StoreCapabilities> = {
    durable: "no",
    shared: false,
    atomicUpdate: true,
    indexed: true,
  };

  readonly #clock: Clock;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #onEvict: MemoryStoreOptions["onEvict"];
  readonly #sessions = new Table();
  /** Apart, because they are never listed, counted or given up. */
  readonly #notes = new Table();
  #closed = false;

  constructor(options: MemoryStoreOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#maxEntries = checkedBound("maxEntries", options.maxEntries ?? 100_000);
    this.#maxBytes = checkedBound("maxBytes", options.maxBytes ?? 256 * 1024 * 1024);
    this.#onEvict = options.onEvict;
    if (process.env.NODE_ENV === "production" && options.acceptLossOnRestart !== true) warnOnce();
  }

  load(handle: string): SessionRecord | undefined {
    const table = this.#open(handle);
    const slot = this.#live(table, handle);
    return slot === NONE ? undefined : table.record(slot);
  }

  create(handle: string, record: SessionRecord): boolean {
    const table = this.#open(handle);
    const known = table.find(handle);
    if (known !== NONE) {
      if (table.expiresAt(known) > this.#clock.now()) return false;
      table.remove(known);
    }
    this.#sweep(SWEPT_PER_WRITE);
    this.#makeRoom(1, this.#checkedBytes(handle, record));
    table.insert(handle, record);
    return true;
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): UpdateResult {
    const table = this.#open(handle);
    const slot = this.#live(table, handle);
    if (slot === NONE) return "gone";
    if (table.version(slot) !== expectedVersion) return "conflict";
    const bytes = table.bytesWith(slot, record);
    if (bytes > this.#maxBytes || !areNames(record.secretHash)) throw tooLarge();
    const growth = bytes - table.sessionBytes(slot);
    if (growth > 0) this.#makeRoom(0, growth, table === this.#sessions ? slot : NONE);
    table.replace(slot, record);
    this.#sweep(SWEPT_PER_WRITE);
    return "ok";
  }

  touch(handle: string, touchedAt: number, expiresAt: number): boolean {
    const table = this.#open(handle);
    const slot = this.#live(table, handle);
    if (slot === NONE) return false;
    table.move(slot, Math.max(touchedAt, table.touchedAt(slot)), Math.max(expiresAt, table.expiresAt(slot)));
    this.#sweep(SWEPT_PER_WRITE);
    return true;
  }

  delete(handle: string): boolean {
    const table = this.#open(handle);
    const slot = this.#live(table, handle);
    if (slot !== NONE) table.remove(slot);
    this.#sweep(SWEPT_PER_WRITE);
    return slot !== NONE;
  }

  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): ReplaceResult {
    const table = this.#open(handle);
    const slot = this.#live(table, handle);
    if (slot === NONE) return "gone";
    if (table.version(slot) !== expectedVersion) return "conflict";
    if (this.#live(this.#open(newHandle), newHandle) !== NONE) return "taken";
    const growth = Math.max(0, this.#checkedBytes(newHandle, record) - table.sessionBytes(slot));
    // Before anything is removed, because there may be no room for it.
    if (tombstone === undefined) this.#makeRoom(0, growth, slot);
    else {
      this.#makeRoom(1, growth + this.#checkedBytes(tombstone.handle, tombstone), slot);
      this.#put(tombstone);
    }
    table.remove(slot);
    this.create(newHandle, record);
    return "ok";
  }

  /**
   * One page. Of a user: the cost is the user's sessions. Of everyone: those of the page, those used in the same millisecond as its
   * last one, and expired ones in between; so many of these may be there that the page is shorter than `limit`.
   */
  list(query: { userId?: string; cursor?: string; limit?: number }): SessionPage {
    const table = this.#open();
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor);
    const now = this.#clock.now();
    // One more than the page holds tells whether there is another.
    const newest = new Newest(limit + 1, start);
    const { places } = newest;
    let touchedAt = Number.POSITIVE_INFINITY;
    let left = SEEN_PER_PAGE + limit;
    let rest: { cursor: string } | undefined;
    const { userId } = query;
    const slots = userId === undefined ? table.byNewestUse(start?.touchedAt ?? touchedAt) : table.ofUser(userId);
    for (const slot of slots) {
      if (userId === undefined && table.touchedAt(slot) < touchedAt) {
        touchedAt = table.touchedAt(slot);
        if (places.length > limit) break;
        if (left < 0) {
          rest = { cursor: encodeCursor({ touchedAt, handle: "" }) };
          break;
        }
      }
      left--;
      if (table.expiresAt(slot) > now) newest.offer({ touchedAt: table.touchedAt(slot), handle: table.handle(slot) });
    }
    const sessions = places.slice(0, limit).map(({ handle }) => table.stored(table.find(handle)));
    return { sessions, ...(rest ?? nextPage(places, limit)) };
  }

  deleteAll(query: { userId?: string; except?: string }): number {
    const table = this.#open();
    const now = this.#clock.now();
    const spared = query.except === undefined || isNote(query.except) ? NONE : this.#live(table, query.except);
    if (query.userId === undefined) {
      const live = table.size - table.countExpired(now) - (spared === NONE ? 0 : 1);
      const kept = spared === NONE ? undefined : table.stored(spared);
      table.clear();
      if (kept !== undefined) table.insert(kept.handle, kept);
      return live;
    }
    let deleted = 0;
    for (const slot of [...table.ofUser(query.userId)]) {
      if (slot === spared) continue;
      if (table.expiresAt(slot) > now) deleted++;
      table.remove(slot);
    }
    return deleted;
  }

  /** Of everyone: at once, and counts expired sessions that no write has taken along yet. */
  count(query: { userId?: string } = {}): number {
    const table = this.#open();
    if (query.userId === undefined) return table.size;
    const now = this.#clock.now();
    let live = 0;
    for (const slot of table.ofUser(query.userId)) if (table.expiresAt(slot) > now) live++;
    return live;
  }

  /** Seldom needed: every write takes expired sessions along. */
  prune(limit = 1_000): number {
    this.#open();
    return this.#sweep(checkedLimit(limit, "prune"));
  }

  /** Forgets every session. */
  close(): void {
    this.#closed = true;
    this.#sessions.clear();
    this.#notes.clear();
  }

  /** What a new record takes. @throws SojournError TOO_LARGE where there would never be room for it */
  #checkedBytes(handle: string, record: SessionRecord): number {
    const bytes = bytesFor(handle, record);
    if (bytes > this.#maxBytes || !areNames(handle, record.secretHash, record.userId)) throw tooLarge();
    return bytes;
  }

  /** The table that a handle belongs to; without one, that of the sessions. */
  #open(handle = ""): Table {
    if (this.#closed) throw new SojournError("STORE_CLOSED", "The memory store was closed.");
    return isNote(handle) ? this.#notes : this.#sessions;
  }

  #live(table: Table, handle: string): number {
    const slot = table.find(handle);
    return slot !== NONE && table.expiresAt(slot) > this.#clock.now() ? slot : NONE;
  }

  #put({ handle, ...record }: StoredSession): void {
    const there = this.#notes.find(handle);
    if (there !== NONE) this.#notes.remove(there);
    this.#notes.insert(handle, record);
  }

  #sweep(limit: number): number {
    const swept = this.#sweepTable(this.#sessions, limit);
    return swept + this.#sweepTable(this.#notes, limit - swept);
  }

  #sweepTable(table: Table, limit: number): number {
    const now = this.#clock.now();
    let removed = 0;
    for (; removed < limit; removed++) {
      const slot = table.firstToExpire();
      if (slot === NONE || table.expiresAt(slot) > now) break;
      table.remove(slot);
    }
    return removed;
  }

  /**
   * @param writing the session that the room is for, which must not be given up itself
   * @throws SojournError STORE_FULL where notes leave no room
   */
  #makeRoom(entries: number, bytes: number, writing = NONE): void {
    const [sessions, notes] = [this.#sessions, this.#notes];
    const size = () => sessions.size + notes.size + entries;
    const total = () => sessions.bytes + notes.bytes + bytes;
    if (size() <= this.#maxEntries && total() <= this.#maxBytes) return;
    this.#sweepTable(notes, notes.size);
    // No session is given up for what has no room in any case.
    const [kept, keptBytes] = writing === NONE ? [0, 0] : [1, sessions.sessionBytes(writing)];
    if (notes.size + kept + entries > this.#maxEntries || notes.bytes + keptBytes + bytes > this.#maxBytes) {
      throw fullOfNotes();
    }
    const now = this.#clock.now();
    while (size() > this.#maxEntries || total() > this.#maxBytes) {
      const first = sessions.firstToExpire();
      const unexpired = first === NONE || sessions.expiresAt(first) > now;
      const victim = unexpired ? sessions.leastRecentlyUsed(writing) : first;
      if (victim === NONE) return;
      if (unexpired && this.#onEvict !== undefined)
        tell(this.#onEvict, { handle: sessions.handle(victim), userId: sessions.userId(victim) });
      sessions.remove(victim);
    }
  }
}

/** Later, so that the callback may use the store; and its failure is not the failure of someone's request. */
function tell<T>(listener: (event: T) => void, event: T): void {
  queueMicrotask(() => {
    try {
      listener(event);
    } catch (error) {
      const name = error instanceof Error ? error.name : typeof error;
      process.emitWarning(`The memory store's onEvict threw (${name}).`, { code: "SOJOURN_LISTENER_THREW" });
    }
  });
}

function checkedBound(option: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`${option} must be a whole number from 1`);
  return value;
}

function tooLarge(): SojournError {
  return new SojournError(
    "TOO_LARGE",
    "The session is larger than the memory store's maxBytes, or its handle, hash or user ID is longer than 4,096 characters.",
  );
}

function fullOfNotes(): SojournError {
  return new SojournError(
    "STORE_FULL",
    "The memory store is full of notes (revoked sessions, used links, sessions that were replaced), which must not be forgotten before their time: raise maxEntries and maxBytes.",
  );
}

function warnOnce(): void {
  if (warned) return;
  warned = true;
  process.emitWarning(
    "Sessions are kept in this process's memory: a restart signs everyone out, and other processes don't see them. " +
      'Use a store that lasts, such as `new SqliteStore("sessions.db")` from "sojourn/sqlite", ' +
      "or state `new MemoryStore({ acceptLossOnRestart: true })`.",
    { code: "SOJOURN_MEMORY_STORE" },
  );
}
