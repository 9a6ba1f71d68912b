import type { SojournError } from "../contract/errors.ts";
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
import { type Clock, systemClock } from "../contract/time.ts";
import { checkedAdmission } from "./admission.ts";
import { checkedLimit, pageOf, startOf } from "./paging.ts";
import { refuseUrl } from "./path.ts";
import { recordOf, storedOf } from "./sql/records.ts";
import { BATCH_SIZE } from "./sql/statements.ts";
import { admit } from "./sqlite/admission.ts";
import {
  blockUntilUnlocked,
  checkedDatabase,
  configure,
  openFile,
  type SqliteDatabase,
  type SqliteDurability,
  valuesOf,
} from "./sqlite/database.ts";
import { DatabaseFile } from "./sqlite/database-file.ts";
import { failure, storeError } from "./sqlite/failures.ts";
import { checkedTable, migrate } from "./sqlite/schema.ts";
import { chosenBy, codec, encode, prepareStatements, rowOf, type SqliteStatements } from "./sqlite/statements.ts";
import { WriteQueue } from "./sqlite/write-queue.ts";

export type * from "../contract/types.ts";

export type { SqliteDatabase, SqliteDurability, SqliteStatement, SqliteValue } from "./sqlite/database.ts";

/** Options for {@link SqliteStore}. */
export interface SqliteStoreOptions {
  /** Name of the table. Default `"sojourn_sessions"`. Stores with other tables may share a file. */
  table?: string | undefined;
  /**
   * What an acknowledged write survives. `"process-crash"`: `kill -9`; a power loss may undo the
   * last writes, but never damages the file. `"full"`: a power loss too, at the cost of one disk
   * sync per commit. Default `"process-crash"` for a path; a database that you pass keeps its own
   * setting.
   */
  durability?: SqliteDurability | undefined;
  /** Milliseconds that a write waits while another process holds the lock. Default 1,500. */
  busyTimeout?: number | undefined;
  /** Default: the system clock. */
  clock?: Clock | undefined;
}

/** A locked read may block the process this long. A write-ahead log makes that very rare. */
const READ_BLOCK_MS = 20;

/**
 * Stores sessions in a SQLite file. Any number of processes on one machine may share it.
 *
 * Reads are synchronous. Writes of one turn of the event loop share a transaction, and their
 * promises settle after its commit. A lock never blocks the process: writes retry from timers.
 *
 * If the file, or its `-wal` or `-shm`, is removed or replaced, every call fails within 100 ms, so
 * that this process doesn't miss sign-outs by others. Up to 2 MiB of disk stay reserved in
 * `-reserve`, so that logging out works when the disk is full. One process fills `-wal` to 64 MiB
 * at most.
 *
 * @param pathOrDatabase a path, `":memory:"`, or a connection of `node:sqlite` or `better-sqlite3`.
 * The store creates a missing file (mode 0600) and folder (0700). Nothing else may use a connection
 * that you pass. The store turns on its write-ahead log and turns off its automatic checkpoints and
 * waits for locks. `close` leaves it open.
 * @throws TypeError that names the invalid option, or when Node has no `node:sqlite`. The
 * constructor and all methods throw a {@link SojournError}: `STORE_UNAVAILABLE` (locked for too
 * long, unreadable, removed), `STORE_FULL`, `STORE_CORRUPT`, `TOO_LARGE` or `STORE_CLOSED`.
 * @example
 * import { session } from "sojourn";
 * import { SqliteStore } from "sojourn/sqlite";
 *
 * const sessions = session({ store: new SqliteStore("sessions.db") });
 */
export class SqliteStore implements IndexedStore {
  readonly synchronousLoad = true;
  readonly capabilities: Readonly<StoreCapabilities>;

  readonly #clock: Clock;
  readonly #closeDatabase: () => void;
  /** What errors call the database. */
  readonly #name: string;
  readonly #file: DatabaseFile;
  readonly #queue: WriteQueue;
  readonly #sql: SqliteStatements;
  #closing: Promise<void> | undefined;

  constructor(pathOrDatabase: string | SqliteDatabase, options: SqliteStoreOptions = {}) {
    const isPath = typeof pathOrDatabase === "string";
    const durability = options.durability ?? (isPath ? "process-crash" : undefined);
    const busyTimeout = options.busyTimeout ?? 1_500;
    const table = checkedTable(options.table ?? "sojourn_sessions");
    if (!(busyTimeout >= 0 && Number.isFinite(busyTimeout))) {
      throw new TypeError("SqliteStore: busyTimeout must be a number of milliseconds from 0");
    }
    if (![undefined, "process-crash", "full"].includes(durability)) {
      throw new TypeError('SqliteStore: durability must be "process-crash" or "full"');
    }
    if (isPath) refuseUrl(pathOrDatabase, "SqliteStore");
    const database = isPath ? openFile(pathOrDatabase) : checkedDatabase(pathOrDatabase);
    this.#clock = options.clock ?? systemClock;
    this.#closeDatabase = () => void (isPath && database.close());
    this.#name = isPath ? pathOrDatabase : "of the application's connection";
    try {
      const durable = blockUntilUnlocked(busyTimeout, () => configure(database, durability));
      blockUntilUnlocked(busyTimeout, () => migrate(database, table));
      this.capabilities = { durable, shared: durable !== "no", atomicUpdate: true, indexed: true };
      this.#file = new DatabaseFile(database, this.#clock);
      this.#queue = new WriteQueue(database, this.#file, this.#name, busyTimeout);
      this.#sql = prepareStatements(database, table);
    } catch (error) {
      this.#closeDatabase();
      throw storeError(error, this.#name);
    }
  }

  load(handle: string): SessionRecord | undefined {
    return this.#read(() => {
      const row = this.#sql.load.get(encode(handle), this.#clock.now());
      return row === undefined ? undefined : recordOf(codec, valuesOf(row));
    });
  }

  create(handle: string, record: SessionRecord): Promise<boolean> {
    return this.#write(3 + overflowPages(record), () => {
      return this.#sql.create.run(...rowOf(handle, record), this.#clock.now()).changes > 0;
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#write(1 + overflowPages(record), () => {
      const { payload, version, secretHash, createdAt, touchedAt, expiresAt } = record;
      const values = [version, createdAt, touchedAt, expiresAt, encode(secretHash), encode(payload)];
      const key = encode(handle);
      const now = this.#clock.now();
      if (this.#sql.update.run(...values, key, expectedVersion, now, expiresAt).changes > 0) return "ok";
      if (this.#sql.updateSooner.run(...values, expiresAt, key, expectedVersion, now).changes > 0) return "ok";
      return this.#sql.exists.get(key, now) === undefined ? "gone" : "conflict";
    });
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#write(1, () => {
      return this.#sql.touch.run(touchedAt, expiresAt, encode(handle), this.#clock.now()).changes > 0;
    });
  }

  delete(handle: string): Promise<boolean> {
    return this.#free(4, () => {
      const row = this.#sql.delete.get(encode(handle));
      return row !== undefined && this.#isUnexpired(row);
    });
  }

  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    return this.#write((tombstone === undefined ? 5 : 8) + overflowPages(record), () => {
      const key = encode(handle);
      const now = this.#clock.now();
      if (this.#sql.replace.run(...rowOf(newHandle, record), key, expectedVersion, now).changes > 0) {
        // Overwrites an earlier tombstone as if that had expired.
        if (tombstone) this.#sql.create.run(...rowOf(tombstone.handle, tombstone), Number.MAX_SAFE_INTEGER);
        return "ok";
      }
      const row = this.#sql.load.get(key, now);
      if (row === undefined) return "gone";
      return recordOf(codec, valuesOf(row)).version === expectedVersion ? "taken" : "conflict";
    });
  }

  async admit(admission: Admission): Promise<AdmissionResult> {
    const pages = 12 + overflowPages(checkedAdmission(admission).session);
    return this.#write(pages, () => admit(this.#sql, admission, this.#clock.now()));
  }

  /**
   * Lists one page. For a user or link it costs their sessions, for everyone the page and expired
   * sessions in between; everyone's are in the order of their handles.
   *
   * @throws TypeError for a cursor that no list returned, and for a limit below 1
   */
  async list(query: SessionQuery & { cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const { touchedAt, handle } = startOf(query.cursor);
    const [now, after, room] = [this.#clock.now(), encode(handle), limit + 1];
    const chosen = chosenBy(this.#sql, query);
    const rows = this.#read(() =>
      chosen
        ? chosen.statements.list.all(chosen.name, now, touchedAt, touchedAt, after, room)
        : this.#sql.listAll.all(after, now, room),
    );
    return pageOf(
      rows.map((row) => storedOf(codec, valuesOf(row))),
      limit,
    );
  }

  /** Deletes sessions, 500 in a transaction. An error undoes none of them. New ones may stay. */
  async deleteAll({ except, ...query }: SessionQuery & { except?: string }): Promise<number> {
    const lastRow = this.#read(() => Number(valuesOf(this.#sql.lastRow.get())[0] ?? 0));
    const batch = [lastRow, except === undefined ? null : encode(except), BATCH_SIZE];
    const chosen = chosenBy(this.#sql, query);
    for (let ended = 0; ; ) {
      const { deleted, unexpired } = await this.#free(BATCH_SIZE, () => {
        const rows = chosen
          ? chosen.statements.deleteBatch.all(chosen.name, ...batch)
          : this.#sql.deleteBatch.all(...batch);
        return { deleted: rows.length, unexpired: rows.filter((row) => this.#isUnexpired(row)).length };
      });
      ended += unexpired;
      if (deleted < BATCH_SIZE) return ended;
    }
  }

  /** Counts sessions. For everyone it includes expired ones until a prune deletes them. */
  count(query: SessionQuery = {}): number {
    const chosen = chosenBy(this.#sql, query);
    return this.#read(() => {
      const row = chosen ? chosen.statements.count.get(chosen.name, this.#clock.now()) : this.#sql.countAll.get();
      return codec.number(valuesOf(row)[0]);
    });
  }

  /** Deletes expired records, 500 in a transaction. @throws TypeError for a limit below 1 */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    for (let pruned = 0; ; ) {
      const size = Math.min(BATCH_SIZE, limit - pruned);
      const { expired, kept } = await this.#free(size, () => {
        const now = this.#clock.now();
        const expired = Number(this.#sql.deleteExpired.run(now, size, now).changes);
        // The rest of the first `size` has not expired, and is due first now.
        const kept = expired === size ? 0 : Number(this.#sql.sweepLater.run(now, size - expired, now).changes);
        return { expired, kept };
      });
      pruned += expired;
      if (expired + kept < size || pruned >= limit) return pruned;
    }
  }

  /** Writes what is queued, checkpoints the log, and closes the database if the store opened it. */
  close(): Promise<void> {
    this.#closing ??= this.#queue.drain().then(() => {
      this.#file.close();
      this.#closeDatabase();
    });
    return this.#closing;
  }

  #read<T>(work: () => T): T {
    if (this.#closing !== undefined) throw failure("CLOSED", this.#name);
    try {
      const found = blockUntilUnlocked(READ_BLOCK_MS, work);
      this.#file.checkIdentity();
      return found;
    } catch (error) {
      throw storeError(error, this.#name);
    }
  }

  /** @param pages an estimate of the pages that the write changes */
  #write<T>(pages: number, work: () => T, frees = false): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(failure("CLOSED", this.#name));
    return this.#queue.write(pages, frees, work);
  }

  /** Runs a write that frees space, and so works on a full disk. */
  #free<T>(pages: number, work: () => T): Promise<T> {
    return this.#write(pages, work, true);
  }

  /** Whether a deleted row, of which SQLite returns the expiry only, had not expired. */
  #isUnexpired(row: unknown): boolean {
    return codec.number(valuesOf(row)[0]) > this.#clock.now();
  }
}

/** Counts a payload's pages beyond the first. */
const overflowPages = ({ payload }: SessionRecord) => payload.length >>> 12;
