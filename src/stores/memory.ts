import { SojournError } from "../contract/errors.ts";
import type {
  Admission,
  AdmissionResult,
  IndexedStore,
  ReplaceResult,
  SessionPage,
  SessionQuery,
  SessionRecord,
  StoreCapabilities,
  StoredSession,
  UpdateResult,
} from "../contract/store.ts";
import { isNote, NOTE } from "../contract/store.ts";
import { type Clock, systemClock } from "../contract/time.ts";
import { checkedAdmission, endedBy } from "./admission.ts";
import { bytesOf, Entry, Table } from "./memory/table.ts";
import { tell, warnOfLoss } from "./memory/warnings.ts";
import { checkedLimit, decodeCursor, Newest, pageOf } from "./paging.ts";

export type * from "../contract/types.ts";

/** Options for {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /** The most sessions and notes to keep. Default 100,000. */
  maxEntries?: number | undefined;
  /** The most bytes of text to keep: one a character, two in a text with characters beyond Latin-1. Default 256 MiB. */
  maxBytes?: number | undefined;
  /** Called after a session that had not expired was evicted. */
  onEvict?: ((evicted: { handle: string; userId: string | null }) => void) | undefined;
  /** Accepts that a restart ends every session, which otherwise prints a warning in production. Default `false`. */
  acceptLossOnRestart?: boolean | undefined;
  /** Default: the machine's time. */
  clock?: Clock | undefined;
}

/** How many expired sessions each write removes: more than the one that it can add, so they never pile up. */
const SWEPT_PER_WRITE = 4;
/** The longest handle, hash, user ID or link. */
const LONGEST_NAME = 4_096;

/**
 * Keeps sessions in this process's memory: for development, for tests, and for applications that may forget.
 *
 * Synchronous, bounded, and without a timer. At its limits it first drops expired sessions, then evicts the least recently
 * used anonymous session, and a user's only if no anonymous one is left, so a flood of visitors signs nobody out. Each
 * write removes a few expired sessions. Notes (of revoked sessions, used links) stay until they expire: if they alone fill
 * the store, writes fail. In production it warns once: a restart ends every session, and a second process has its own.
 *
 * @throws TypeError for an impossible option. Its methods throw a {@link SojournError}: `TOO_LARGE` for a session that
 * alone is over `maxBytes`, `STORE_FULL` if notes leave no room, `STORE_CLOSED` after `close`.
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
  #sessions = new Table();
  #notes = new Table();
  #isClosed = false;

  constructor(options: MemoryStoreOptions = {}) {
    const { maxEntries = 100_000, maxBytes = 256 * 1024 * 1024, clock = systemClock, onEvict } = options;
    for (const [option, value] of Object.entries({ maxEntries, maxBytes })) {
      if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`${option} must be a whole number from 1`);
    }
    this.#clock = clock;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
    this.#onEvict = onEvict;
    if (process.env.NODE_ENV === "production" && options.acceptLossOnRestart !== true) warnOfLoss();
  }

  load(handle: string): SessionRecord | undefined {
    return this.#live(this.#table(handle), handle)?.record();
  }

  create(handle: string, record: SessionRecord): boolean {
    const table = this.#table(handle);
    if (this.#live(table, handle) !== undefined) return false;
    const entry = this.#checked(new Entry(handle, record), record);
    this.#sweep(SWEPT_PER_WRITE);
    this.#makeRoom(1, entry.bytes);
    table.add(entry);
    return true;
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): UpdateResult {
    const table = this.#table(handle);
    const now = this.#clock.now();
    const entry = this.#live(table, handle, now);
    if (entry?.version !== expectedVersion) return entry === undefined ? "gone" : "conflict";
    const text = record.secretHash + record.payload;
    const growth = bytesOf(text) - bytesOf(entry.text);
    if (growth > 0 || record.secretHash.length > LONGEST_NAME) this.#checked(entry, record, growth);
    if (growth > 0) this.#makeRoom(0, growth, entry);
    table.leave(entry);
    entry.write(record, text);
    table.bytes += growth;
    table.enter(entry);
    this.#sweep(SWEPT_PER_WRITE, now);
    return "ok";
  }

  touch(handle: string, touchedAt: number, expiresAt: number): boolean {
    const table = this.#table(handle);
    const now = this.#clock.now();
    const entry = this.#live(table, handle, now);
    if (entry === undefined) return false;
    table.leave(entry);
    entry.touchedAt = Math.max(touchedAt, entry.touchedAt);
    entry.expiresAt = Math.max(expiresAt, entry.expiresAt);
    table.enter(entry);
    this.#sweep(SWEPT_PER_WRITE, now);
    return true;
  }

  delete(handle: string): boolean {
    const table = this.#table(handle);
    const entry = this.#live(table, handle);
    if (entry !== undefined) table.remove(entry);
    this.#sweep(SWEPT_PER_WRITE);
    return entry !== undefined;
  }

  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): ReplaceResult {
    const entry = this.#live(this.#table(handle), handle);
    if (entry?.version !== expectedVersion) return entry === undefined ? "gone" : "conflict";
    if (this.#live(this.#table(newHandle), newHandle) !== undefined) return "taken";
    this.#put(this.#checked(new Entry(newHandle, record), record), entry, tombstone);
    return "ok";
  }

  admit(admission: Admission): AdmissionResult {
    const { session, userId, replaces } = checkedAdmission(admission);
    const there = this.#live(this.#table(session.handle), session.handle);
    if (there?.hasHash(session.secretHash)) return { result: "ok", revoked: [] };
    const old = replaces && this.#live(this.#table(replaces.handle), replaces.handle);
    if (old?.version !== replaces?.expectedVersion) return { result: old === undefined ? "gone" : "conflict" };
    if (there !== undefined) return { result: "taken" };
    const next = this.#checked(new Entry(session.handle, session), session);
    const ended = () => {
      const sessions = this.#table().chosen({ userId }, this.#clock.now()) ?? [];
      return endedBy(
        admission,
        sessions.filter((entry) => entry !== old && entry !== next),
      );
    };
    if (ended() === undefined) return { result: "limit" };
    this.#put(next, old, replaces?.tombstone);
    // Only now, because to make room some of them may have been evicted.
    const revoked = ended() ?? [];
    for (const entry of revoked) this.#table().remove(entry);
    return { result: "ok", revoked: revoked.map(({ handle }) => handle) };
  }

  /**
   * Lists one page. Costs the sessions of the user or link. Without either, the page, the sessions
   * whose handles have the same hash as its last one's, and expired ones in between.
   */
  list(query: SessionQuery & { cursor?: string; limit?: number }): SessionPage {
    const { cursor, limit = 100 } = query;
    const start = decodeCursor(cursor);
    // One more than the page holds tells whether there is another.
    const room = checkedLimit(limit, "list") + 1;
    const now = this.#clock.now();
    const chosen = this.#table().chosen(query, now);
    const newest = new Newest<Entry>(room, start);
    for (const entry of chosen ?? []) newest.offer(entry);
    const found = chosen ? newest.places : this.#table().page(room, start?.handle, now);
    const { sessions, ...next } = pageOf(found, limit);
    return { sessions: sessions.map((entry) => entry.stored()), ...next };
  }

  deleteAll(query: SessionQuery & { except?: string }): number {
    const { except } = query;
    const table = this.#table();
    const now = this.#clock.now();
    const spared = except === undefined || isNote(except) ? undefined : this.#live(table, except, now);
    const ended = table.chosen(query, now)?.filter((entry) => entry !== spared);
    if (ended === undefined) {
      this.#sessions = new Table();
      if (spared !== undefined) this.#sessions.add(spared);
      return table.size - table.ends.countTo(now) - this.#sessions.size;
    }
    for (const entry of ended) table.remove(entry);
    return ended.length;
  }

  /** Without a user or link, it takes no time, and counts expired sessions that no write has removed yet. */
  count(query: SessionQuery = {}): number {
    const table = this.#table();
    return table.chosen(query, this.#clock.now())?.length ?? table.size;
  }

  /** Seldom needed: every write removes a few expired sessions. */
  prune(limit = 1_000): number {
    return this.#sweep(checkedLimit(limit, "prune"));
  }

  /** Forgets every session. */
  close(): void {
    [this.#sessions, this.#notes, this.#isClosed] = [new Table(), new Table(), true];
  }

  #table(handle = ""): Table {
    if (this.#isClosed) throw new SojournError("STORE_CLOSED", "The memory store was closed.");
    return handle.startsWith(NOTE) ? this.#notes : this.#sessions;
  }

  #live(table: Table, handle: string, now = this.#clock.now()): Entry | undefined {
    const entry = table.find(handle);
    if (entry === undefined || entry.expiresAt > now) return entry;
    table.remove(entry);
    return undefined;
  }

  #sweep(limit: number, now = this.#clock.now()): number {
    let swept = 0;
    while (swept < limit && (this.#table().removeExpired(now) || this.#notes.removeExpired(now))) swept++;
    return swept;
  }

  /** Adds a new session. It may replace another one, of which a tombstone is left. */
  #put(next: Entry, old: Entry | undefined, tombstone: StoredSession | undefined): void {
    const note = tombstone && this.#checked(new Entry(tombstone.handle, tombstone), tombstone);
    const growth = Math.max(0, next.bytes - (old?.bytes ?? 0));
    // Before anything changes, because it fails if there is no room.
    this.#makeRoom((old ? 0 : 1) + (note ? 1 : 0), growth + (note?.bytes ?? 0), old);
    const before = note && this.#notes.find(note.handle);
    if (before) this.#notes.remove(before);
    if (note) this.#notes.add(note);
    if (old) this.#table(old.handle).remove(old);
    this.#table(next.handle).add(next);
  }

  #checked(entry: Entry, { secretHash }: SessionRecord, growth = 0): Entry {
    const names = [entry.handle, entry.userId ?? "", entry.link ?? "", secretHash];
    if (entry.bytes + growth <= this.#maxBytes && names.every(({ length }) => length <= LONGEST_NAME)) return entry;
    const what = "The session is larger than the memory store's maxBytes, or its handle, hash, user ID or link";
    throw new SojournError("TOO_LARGE", `${what} is longer than 4,096 characters.`);
  }

  /** @param writing the entry that the room is for, which is not evicted itself */
  #makeRoom(entries: number, bytes: number, writing?: Entry): void {
    const [sessions, notes] = [this.#sessions, this.#notes];
    const kept = writing && !isNote(writing.handle) ? writing : undefined;
    const isFull = (size: number, taken: number) => size + entries > this.#maxEntries || taken + bytes > this.#maxBytes;
    while (isFull(sessions.size + notes.size, sessions.bytes + notes.bytes)) {
      if (this.#sweep(1) > 0) continue;
      const victim = sessions.anonymous.first(kept) ?? sessions.signedIn.first(kept);
      // No session is evicted for what has no room in any case.
      if (victim === undefined || isFull(notes.size + (kept ? 1 : 0), notes.bytes + (kept?.bytes ?? 0))) {
        const notesOf = "notes (revoked sessions, used links, sessions that were replaced)";
        const remedy = "which must not be forgotten before their time: raise maxEntries and maxBytes";
        throw new SojournError("STORE_FULL", `The memory store is full of ${notesOf}, ${remedy}.`);
      }
      sessions.remove(victim);
      if (this.#onEvict) tell(this.#onEvict, { handle: victim.handle, userId: victim.userId });
    }
  }
}
