import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { SojournError } from "../../contract/errors.ts";
import type { StoreCapabilities } from "../../contract/store.ts";
import { isBusy } from "./failures.ts";

/** What SQLite stores for us. Text that UTF-8 can't hold goes as bytes. */
export type SqliteValue = string | number | null | Uint8Array;

/** A prepared statement as `node:sqlite` and `better-sqlite3` have it. */
export interface SqliteStatement {
  run(...parameters: SqliteValue[]): { changes: number | bigint };
  get(...parameters: SqliteValue[]): unknown;
  all(...parameters: SqliteValue[]): unknown[];
  /** How `node:sqlite` is told to give rows as arrays; Node 22.16 and newer. */
  setReturnArrays?(enabled: boolean): void;
  /** How `better-sqlite3` is. */
  raw?(enabled: boolean): unknown;
}

/** A database as `node:sqlite` and `better-sqlite3` have it. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): unknown;
}

/** What a write that was acknowledged survives: the end of the process, or the end of the power too. */
export type SqliteDurability = "process-crash" | "full";

export function isDatabase(value: unknown): value is SqliteDatabase {
  return (
    typeof value === "object" &&
    value !== null &&
    "exec" in value &&
    typeof value.exec === "function" &&
    "prepare" in value &&
    typeof value.prepare === "function"
  );
}

/**
 * Opens a file with the SQLite that Node brings, which is loaded here and nowhere earlier: Node 20 has none.
 *
 * The file is readable for its owner only, and so is a folder that had to be created; SQLite gives its side files the
 * mode of the file. It is created exclusively: a second descriptor of an existing file must never be closed, since that drops
 * the locks which another connection of this process holds on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
export function openFile(path: string): SqliteDatabase {
  const sqlite = process.getBuiltinModule?.("node:sqlite");
  if (sqlite === undefined) {
    throw new TypeError(
      `SqliteStore: Node ${process.version} has no node:sqlite. Use Node 22.13 or newer, ` +
        'or hand over a database of better-sqlite3: new SqliteStore(new Database("sessions.db")).',
    );
  }
  if (path === ":memory:") return new sqlite.DatabaseSync(path);
  // Absolute, so that neither a later chdir nor a name like "file:…" means something else.
  const file = resolve(path);
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "EEXIST") throw notCreated(path, code, error);
  }
  return new sqlite.DatabaseSync(file);
}

function notCreated(path: string, code: unknown, cause: unknown): SojournError {
  const full = code === "ENOSPC";
  return new SojournError(
    full ? "STORE_FULL" : "STORE_UNAVAILABLE",
    `The session database ${path} can't be created (${full ? "the disk is full" : code}).`,
    cause,
  );
}

/** The path of the main file; `""` for a database in memory. */
export function fileOf(database: SqliteDatabase): string {
  return String(valuesOf(database.prepare("PRAGMA database_list").get())[2] ?? "");
}

/**
 * @param durability `undefined` leaves what the connection is set to
 * @returns what the connection gives
 */
export function configure(
  database: SqliteDatabase,
  durability: SqliteDurability | undefined,
): StoreCapabilities["durable"] {
  // Write-ahead log: readers and the writer don't wait for each other, and a commit is one append.
  const [mode] = valuesOf(database.prepare("PRAGMA journal_mode = WAL").get());
  // NORMAL: the log is written at each commit and synced at checkpoints. FULL: synced at each commit.
  if (durability === "process-crash") database.exec("PRAGMA synchronous = NORMAL");
  if (durability === "full") database.exec("PRAGMA synchronous = FULL");
  // An automatic checkpoint is what makes one commit in a hundred take 20 ms; `Upkeep` finds better moments.
  database.exec("PRAGMA wal_autocheckpoint = 0");
  // Waiting for a lock in here would stop the process; commits wait on timers.
  database.exec("PRAGMA busy_timeout = 0");
  if (mode === "memory") return "no";
  // SQLite can be built with another default for write-ahead logging, which it takes up with the first read.
  database.prepare("SELECT count(*) FROM sqlite_master").get();
  const [synchronous] = valuesOf(database.prepare("PRAGMA synchronous").get());
  return Number(synchronous) >= 2 ? "power-loss" : "process-crash";
}

/** Has a statement that returns rows give them as arrays, where that can be had: an object costs half a microsecond more. */
export function withArrays(statement: SqliteStatement): SqliteStatement {
  if (statement.setReturnArrays !== undefined) statement.setReturnArrays(true);
  else statement.raw?.(true);
  return statement;
}

/** The columns of a row in the statement's order, whichever way the connection gives rows; none of no row. */
export function valuesOf(row: unknown): readonly unknown[] {
  return Array.isArray(row) ? row : Object.values(Object(row));
}

const asleep = new Int32Array(new SharedArrayBuffer(4));

/** Runs something that must be synchronous, again and again while the database is locked, for `patienceMs` at most. */
export function patiently<T>(patienceMs: number, work: () => T): T {
  const pauseMs = 5;
  for (let waitedMs = 0; ; waitedMs += pauseMs) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || waitedMs >= patienceMs) throw error;
      Atomics.wait(asleep, 0, 0, pauseMs);
    }
  }
}
