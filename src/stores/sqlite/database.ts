import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { StoreCapabilities } from "../../contract/store.ts";
import { failure, isLocked, storeError } from "./failures.ts";

/** A value that the store binds. Bytes hold text that UTF-8 can't. */
export type SqliteValue = string | number | null | Uint8Array;

/** A prepared statement of `node:sqlite` or `better-sqlite3`. */
export interface SqliteStatement {
  run(...parameters: SqliteValue[]): { changes: number | bigint };
  get(...parameters: SqliteValue[]): unknown;
  all(...parameters: SqliteValue[]): unknown[];
  /** Makes `node:sqlite` return rows as arrays. Node 22.16 and newer. */
  setReturnArrays?(enabled: boolean): void;
  /** Makes `better-sqlite3` return rows as arrays. */
  raw?(enabled: boolean): unknown;
}

/** A database of `node:sqlite` or `better-sqlite3`. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): unknown;
}

/** What an acknowledged write survives: a crash of the process, or a power loss too. */
export type SqliteDurability = "process-crash" | "full";

/** @throws TypeError for anything but a database */
export function checkedDatabase(value: SqliteDatabase): SqliteDatabase {
  const { exec, prepare }: { exec?: unknown; prepare?: unknown } = Object(value);
  if (typeof value === "object" && typeof exec === "function" && typeof prepare === "function") return value;
  throw new TypeError("SqliteStore: the first argument must be a path or a database of node:sqlite or better-sqlite3");
}

/**
 * Opens a file with Node's own SQLite. Loads it here and not earlier, because Node 20 has none.
 *
 * Only the owner can read a file or folder that this creates. SQLite gives its `-wal` and `-shm`
 * files the same mode. Never opens an existing file itself: closing that descriptor would drop the
 * locks of this process's other connections (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
export function openFile(path: string): SqliteDatabase {
  const sqlite = process.getBuiltinModule?.("node:sqlite");
  if (sqlite === undefined) {
    throw new TypeError(
      `SqliteStore: Node ${process.version} has no node:sqlite. Use Node 22.13 or newer, ` +
        'or pass a database of better-sqlite3: new SqliteStore(new Database("sessions.db")).',
    );
  }
  // Absolute, so that neither a later chdir nor a name like "file:…" changes its meaning.
  const file = path === ":memory:" ? path : resolve(path);
  try {
    if (file !== ":memory:") create(file);
    return new sqlite.DatabaseSync(file);
  } catch (error) {
    throw storeError(error, path);
  }
}

function create(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    const { code }: { code?: unknown } = Object(error);
    if (code !== "EEXIST") throw failure(code === "ENOSPC" ? "FULL" : "CANTOPEN", file, error);
  }
}

/** Returns the path of the main file; `""` for a database in memory. */
export function fileOf(database: SqliteDatabase): string {
  return String(valuesOf(database.prepare("PRAGMA database_list").get())[2] ?? "");
}

/**
 * Sets up a connection.
 *
 * @param durability `undefined` keeps the connection's own setting
 * @returns what a commit survives
 */
export function configure(
  database: SqliteDatabase,
  durability: SqliteDurability | undefined,
): StoreCapabilities["durable"] {
  // A write-ahead log: readers and the writer don't block each other, and a commit is one append.
  const [mode] = valuesOf(database.prepare("PRAGMA journal_mode = WAL").get());
  // NORMAL syncs the log at checkpoints, FULL at each commit.
  if (durability === "process-crash") database.exec("PRAGMA synchronous = NORMAL");
  if (durability === "full") database.exec("PRAGMA synchronous = FULL");
  // `DatabaseFile` finds better moments for checkpoints.
  database.exec("PRAGMA wal_autocheckpoint = 0");
  // Waiting for a lock inside SQLite would block the process. Commits wait on timers.
  database.exec("PRAGMA busy_timeout = 0");
  if (mode === "memory") return "no";
  // A build of SQLite may have another default for such logs, which the first read applies.
  database.prepare("SELECT count(*) FROM sqlite_master").get();
  const [synchronous] = valuesOf(database.prepare("PRAGMA synchronous").get());
  return Number(synchronous) >= 2 ? "power-loss" : "process-crash";
}

/** Makes a statement return arrays if it can: an object costs half a microsecond more. */
export function withArrays(statement: SqliteStatement): SqliteStatement {
  if (statement.setReturnArrays !== undefined) statement.setReturnArrays(true);
  else statement.raw?.(true);
  return statement;
}

/** Returns a row's columns in order, whatever form the connection gives rows; none for no row. */
export function valuesOf(row: unknown): readonly unknown[] {
  return Array.isArray(row) ? row : Object.values(Object(row));
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Repeats synchronous work while the database is locked. Blocks the process for up to `ms`. */
export function blockUntilUnlocked<T>(ms: number, work: () => T): T {
  const pauseMs = 5;
  for (let waitedMs = 0; ; waitedMs += pauseMs) {
    try {
      return work();
    } catch (error) {
      if (!isLocked(error) || waitedMs >= ms) throw error;
      Atomics.wait(sleeper, 0, 0, pauseMs);
    }
  }
}
