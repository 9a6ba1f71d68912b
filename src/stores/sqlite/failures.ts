import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";

interface Meaning {
  /** SQLite's primary result code; none if the failure is not SQLite's. */
  result?: number;
  /** Default `STORE_UNAVAILABLE`. */
  code?: SojournErrorCode;
  /** The message, after the name of the database. */
  what: string;
  /**
   * - `locked`: another connection holds a lock, and will release it.
   * - `full`: the disk may be full. A full file system may also report an I/O error.
   * - `statement`: only the statement failed, because of its values. Its transaction goes on.
   */
  kind?: "locked" | "full" | "statement";
}

const LOCKED = { what: "has been locked by another connection for too long", kind: "locked" } as const;
const REJECTED = { what: "rejected a statement", kind: "statement" } as const;

/** Meanings of SQLite's result codes (https://www.sqlite.org/rescode.html), by name. */
const MEANINGS = {
  PERM: { result: 3, what: "may not be used by this process" },
  BUSY: { result: 5, ...LOCKED },
  LOCKED: { result: 6, ...LOCKED },
  READONLY: { result: 8, what: "is read-only" },
  IOERR: { result: 10, what: "can't be read or written (I/O error)", kind: "full" },
  CORRUPT: { result: 11, code: "STORE_CORRUPT", what: "is damaged: restore it, or move it away to start empty" },
  FULL: { result: 13, code: "STORE_FULL", what: "has no room left on its disk", kind: "full" },
  CANTOPEN: { result: 14, what: "can't be opened" },
  PROTOCOL: { result: 15, ...LOCKED },
  TOOBIG: { result: 18, code: "TOO_LARGE", what: "can't hold a session of this size", kind: "statement" },
  CONSTRAINT: { result: 19, ...REJECTED },
  MISMATCH: { result: 20, ...REJECTED },
  RANGE: { result: 25, ...REJECTED },
  NOTADB: { result: 26, code: "STORE_CORRUPT", what: "is not a SQLite database: move it away to start empty" },
  CLOSED: { code: "STORE_CLOSED", what: "is closed" },
  OTHER: { what: "rejected a statement" },
} as const satisfies Record<string, Meaning>;

/**
 * Returns an error's meaning; `undefined` for an error that is not the database's. `node:sqlite`
 * reports the extended result number as `errcode`, whose low byte is the primary code.
 * `better-sqlite3` reports the extended name as `code`, such as `SQLITE_IOERR_READ`.
 */
function meaningOf(error: unknown): Meaning | undefined {
  if (!(error instanceof Error)) return undefined;
  const { errcode, code }: { errcode?: unknown; code?: unknown } = Object(error);
  const result = typeof errcode === "number" ? errcode & 0xff : undefined;
  const name = typeof code === "string" && code.startsWith("SQLITE_") ? code.split("_")[1] : undefined;
  // The application has opened a transaction on a connection that it shares with the store.
  if ((result === 1 || name === "ERROR") && /within a transaction/.test(error.message)) return MEANINGS.BUSY;
  if (result !== undefined || name !== undefined) {
    const known = Object.entries<Meaning>(MEANINGS).find(([key, meaning]) =>
      result === undefined ? key === name : meaning.result === result,
    );
    return known?.[1] ?? MEANINGS.OTHER;
  }
  const isClosed = code === "ERR_INVALID_STATE" || /database connection is not open/.test(error.message);
  return isClosed ? MEANINGS.CLOSED : undefined;
}

export function isLocked(error: unknown): boolean {
  return meaningOf(error)?.kind === "locked";
}

export function isFull(error: unknown): boolean {
  return error instanceof SojournError ? error.code === "STORE_FULL" : meaningOf(error)?.kind === "full";
}

/** Whether a transaction can go on after this error of one of its statements. */
export function isStatementError(error: unknown): boolean {
  const meaning = meaningOf(error);
  return meaning === undefined || meaning.kind === "statement";
}

/** Makes the error for a failure that the store itself finds out. */
export function failure(name: keyof typeof MEANINGS, database: string, cause?: unknown): SojournError {
  return errorOf(MEANINGS[name], database, cause);
}

/**
 * Converts a database's error; returns any other error unchanged. SQLite's messages name columns
 * and files, never values, so its error is safe to keep as the cause.
 */
export function storeError(error: unknown, database: string): unknown {
  const meaning = meaningOf(error);
  return meaning === undefined ? error : errorOf(meaning, database, error);
}

function errorOf({ code = "STORE_UNAVAILABLE", what }: Meaning, database: string, cause: unknown): SojournError {
  return new SojournError(code, `The session database ${database} ${what}.`, cause);
}
