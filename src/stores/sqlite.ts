import { SojournError } from "../contract/errors.ts";
import type {
  IndexedStore,
  ReplaceResult,
  SessionPage,
  SessionRecord,
  StoreCapabilities,
  StoredSession,
  UpdateResult,
} from "../contract/store.ts";
import { type Clock, setImmediate, systemClock } from "../contract/time.ts";
import { checkedLimit, decodeCursor, Newest, nextPage } from "./paging.ts";
import { refuseUrl } from "./path.ts";
import { Commits, type Footprint } from "./sqlite/commits.ts";
import {
  configure,
  fileOf,
  isDatabase,
  openFile,
  patiently,
  type SqliteDatabase,
  type SqliteDurability,
} from "./sqlite/database.ts";
import { isBusy, storeError } from "./sqlite/failures.ts";
import { Records } from "./sqlite/records.ts";
import { checkedTable, migrate } from "./sqlite/schema.ts";
import { Upkeep } from "./sqlite/upkeep.ts";

export type * from "../contract/types.ts";

export type { SqliteDatabase, SqliteDurability, SqliteStatement, SqliteValue } from "./sqlite/database.ts";

/** What {@link SqliteStore} can be told. */
export interface SqliteStoreOptions {
  /** Name of the table. Default `"sojourn_sessions"`. Stores of different names may share a file. */
  table?: string | undefined;
  /**
   * What a write that was acknowledged survives. `"process-crash"`, the default for a path: also `kill -9`, but not for certain a
   * power cut, which may undo the last writes and never damages the file. `"full"`: a power cut too, for one sync
   * of the disk with every commit. A database handed over keeps its own setting by default.
   */
  durability?: SqliteDurability | undefined;
  /** For how many milliseconds a write waits while another process holds the lock. Default 1,500. */
  busyTimeout?: number | undefined;
  /** Default: the machine's time. */
  clock?: Clock | undefined;
}

/** Rows in one transaction of a sweep or of a sign-out of everyone: a few milliseconds. */
const BATCH = 500;
/** Rows that a list of everyone looks at in one turn of the event loop. */
const SCAN = 1_000;
/** A load that meets a lock, which write-ahead logging all but rules out, may stop the process for this long. */
const LOAD_PATIENCE_MS = 20;

const TOUCH: Footprint = { pages: 1, frees: false };
const DELETE: Footprint = { pages: 4, frees: true };
const DELETE_BATCH: Footprint = { pages: BATCH, frees: true };

/**
 * Sessions in a SQLite file, which any number of processes on one machine may share.
 *
 * Reads are synchronous: a request waits for no tick. Writes of one turn of the event loop share a transaction, and
 * a promise is settled after its commit. Nothing waits for a lock inside SQLite, where it would stop the process.
 *
 * @param pathOrDatabase a path, whose folder is created where it is missing (mode 0700; the file 0600); `":memory:"`; or a
 * connection of `node:sqlite` or `better-sqlite3`. Hand over one that nothing else uses (its file may hold other
 * tables): it is switched to write-ahead logging, to no waiting for locks and to no automatic checkpoints, and is not closed by `close`.
 *
 * Where the file, or one of SQLite's own beside it, is removed or replaced, every call fails with `STORE_UNAVAILABLE` within 100 ms, until
 * it is back or the store is opened again: another process would sign users out where this one doesn't look.
 *
 * Beside the file stand SQLite's own `-wal` (with one process some 64 MiB at most) and `-shm`, and `-reserve`: up to 2 MiB of disk kept back so that
 * logging out works when the disk is full.
 *
 * @throws TypeError for an impossible option, or where Node has no `node:sqlite`. {@link SojournError}, here and from
 * every method: `STORE_UNAVAILABLE` (locked for too long, unreadable, removed), `STORE_FULL`, `STORE_CORRUPT`,
 * `STORE_CLOSED`.
 * @example
 * app.use(session({ store: new SqliteStore("data/sessions.db") }));
 */
export class SqliteStore implements IndexedStore {
  readonly synchronousLoad = true;
  readonly capabilities: Readonly<StoreCapabilities>;

  readonly #clock: Clock;
  readonly #database: SqliteDatabase;
  readonly #ownsDatabase: boolean;
  /** What errors call the database. */
  readonly #place: string;
  readonly #upkeep: Upkeep;
  readonly #commits: Commits;
  readonly #records: Records;
  #closing: Promise<void> | undefined;

  constructor(pathOrDatabase: string | SqliteDatabase, options: SqliteStoreOptions = {}) {
    const table = checkedTable(options.table ?? "sojourn_sessions");
    const patienceMs = checkedTimeout(options.busyTimeout ?? 1_500);
    const clock = options.clock ?? systemClock;
    const path = typeof pathOrDatabase === "string" ? pathOrDatabase : undefined;
    const durability = checkedDurability(options.durability ?? (path === undefined ? undefined : "process-crash"));
    const place = path ?? "handed over";
    if (path !== undefined) refuseUrl(path, "SqliteStore");
    const database = typeof pathOrDatabase === "string" ? opened(pathOrDatabase) : pathOrDatabase;
    if (!isDatabase(database)) {
      throw new TypeError(
        "SqliteStore: the first argument must be a path or a database of node:sqlite or better-sqlite3",
      );
    }
    this.#clock = clock;
    this.#database = database;
    this.#ownsDatabase = path !== undefined;
    this.#place = place;
    try {
      const durable = patiently(patienceMs, () => configure(database, durability));
      patiently(patienceMs, () => migrate(database, table));
      this.capabilities = { durable, shared: durable !== "no", atomicUpdate: true, indexed: true };
      this.#upkeep = new Upkeep(database, fileOf(database), clock);
      // Locks are of other connections, which go by the machine's time, whatever the application's clock says.
      this.#commits = new Commits({ database, upkeep: this.#upkeep, clock: systemClock, place, patienceMs });
      this.#records = new Records(database, table, place);
    } catch (error) {
      if (this.#ownsDatabase) database.close();
      throw storeError(error, place);
    }
  }

  load(handle: string): SessionRecord | undefined {
    return this.#read(() => this.#records.load(handle, this.#clock.now()));
  }

  create(handle: string, record: SessionRecord): Promise<boolean> {
    const pages = 3 + overflowOf(record);
    return this.#write(() => this.#records.create(handle, record, this.#clock.now()), { pages, frees: false });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    const pages = 1 + overflowOf(record);
    return this.#write(() => this.#records.update(handle, record, expectedVersion, this.#clock.now()), {
      pages,
      frees: false,
    });
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#write(() => this.#records.touch(handle, touchedAt, expiresAt, this.#clock.now()), TOUCH);
  }

  delete(handle: string): Promise<boolean> {
    return this.#write(() => this.#records.delete(handle, this.#clock.now()), DELETE);
  }

  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    const pages = (tombstone === undefined ? 5 : 8) + overflowOf(record);
    return this.#write(
      () => this.#records.replace(handle, expectedVersion, newHandle, record, tombstone, this.#clock.now()),
      { pages, frees: false },
    );
  }

  /**
   * One page. Of a user: the cost is the user's sessions. Of everyone: every session is looked at, a thousand in one
   * turn of the event loop, since an index for a list that is seldom asked for would slow down every touch.
   */
  async list(query: { userId?: string; cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor);
    const { userId } = query;
    // One more than the page holds tells whether there is another.
    if (userId !== undefined) {
      const found = this.#read(() => this.#records.ofUser(userId, start, limit + 1, this.#clock.now()));
      return { sessions: found.slice(0, limit), ...nextPage(found, limit) };
    }
    const { places } = await this.#scan(new Newest(limit + 1, start));
    const sessions = places.slice(0, limit).flatMap(({ handle }) => {
      const record = this.load(handle);
      return record === undefined ? [] : [{ handle, ...record }];
    });
    return { sessions, ...nextPage(places, limit) };
  }

  /** In transactions of 500. Sessions that begin meanwhile may stay; after an error, what was done is done. */
  async deleteAll(query: { userId?: string; except?: string }): Promise<number> {
    const lastRow = this.#read(() => this.#records.lastRow());
    let ended = 0;
    for (;;) {
      const { rows, unexpired } = await this.#write(
        () => this.#records.deleteSome(query, lastRow, BATCH, this.#clock.now()),
        DELETE_BATCH,
      );
      ended += unexpired;
      if (rows < BATCH) return ended;
    }
  }

  /** Of everyone: counts expired sessions that no prune has met yet, and takes a few milliseconds for a million. */
  count(query: { userId?: string } = {}): number {
    const { userId } = query;
    return this.#read(() =>
      userId === undefined ? this.#records.count() : this.#records.countOfUser(userId, this.#clock.now()),
    );
  }

  /** In transactions of 500 at most, a turn of the event loop each. */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    let pruned = 0;
    for (;;) {
      const size = Math.min(BATCH, limit - pruned);
      const { expired, more } = await this.#write(() => this.#records.sweep(size, this.#clock.now()), {
        pages: size,
        frees: true,
      });
      pruned += expired;
      if (!more || pruned >= limit) return pruned;
    }
  }

  /** Writes what waits, checkpoints the log, and closes the database unless it was handed over. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await this.#commits.drain();
    this.#upkeep.close();
    if (this.#ownsDatabase) this.#database.close();
  }

  async #scan(newest: Newest): Promise<Newest> {
    const lastRow = this.#read(() => this.#records.lastRow());
    for (let after = 0; after < lastRow; ) {
      const rows = this.#read(() => this.#records.scan(after, lastRow, SCAN, this.#clock.now()));
      for (const { place } of rows) newest.offer(place);
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.row;
      await new Promise(setImmediate);
    }
    return newest;
  }

  #read<T>(work: () => T): T {
    if (this.#closing !== undefined) throw this.#closed();
    let found: T;
    try {
      found = work();
    } catch (error) {
      found = this.#readAgain(work, error);
    }
    this.#upkeep.checkPlace();
    return found;
  }

  #readAgain<T>(work: () => T, error: unknown): T {
    if (!isBusy(error)) throw storeError(error, this.#place);
    try {
      return patiently(LOAD_PATIENCE_MS, work);
    } catch (again) {
      throw storeError(again, this.#place);
    }
  }

  #write<T>(work: () => T, footprint: Footprint): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(this.#closed());
    return this.#commits.write(work, footprint);
  }

  #closed(): SojournError {
    return new SojournError("STORE_CLOSED", `The session database ${this.#place} is closed.`);
  }
}

function opened(path: string): SqliteDatabase {
  try {
    return openFile(path);
  } catch (error) {
    throw storeError(error, path);
  }
}

/** Pages beyond the one that a small record shares. */
function overflowOf(record: SessionRecord): number {
  return record.payload.length >>> 12;
}

function checkedTimeout(busyTimeout: number): number {
  if (!(busyTimeout >= 0 && Number.isFinite(busyTimeout))) {
    throw new TypeError("SqliteStore: busyTimeout must be a number of milliseconds from 0");
  }
  return busyTimeout;
}

function checkedDurability(durability: SqliteDurability | undefined): SqliteDurability | undefined {
  if (durability === undefined || durability === "process-crash" || durability === "full") return durability;
  throw new TypeError('SqliteStore: durability must be "process-crash" or "full"');
}
