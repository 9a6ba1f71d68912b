import { SojournError, type SojournErrorCode } from "../../contract/errors.ts";

/**
 * Primary result codes of SQLite (https://www.sqlite.org/rescode.html). `node:sqlite` reports the extended number as
 * `errcode`, `better-sqlite3` the extended name as `code`; the primary one is the number's low byte, the name's start.
 */
const CODES = {
  PERM: 3,
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  PROTOCOL: 15,
  TOOBIG: 18,
  CONSTRAINT: 19,
  MISMATCH: 20,
  RANGE: 25,
  NOTADB: 26,
} as const;

type Failure = keyof typeof CODES | "CLOSED" | "OTHER";

/** What went wrong, or `undefined` for an error that is not the database's. */
function failureOf(error: unknown): Failure | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("errcode" in error && typeof error.errcode === "number") {
    const primary = error.errcode & 0xff;
    // An application's own transaction on a connection that it shares with the store: as good as locked.
    if (primary === 1 && /within a transaction/.test(error.message)) return "BUSY";
    return nameOf((_, code) => code === primary);
  }
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "SQLITE_ERROR" && /within a transaction/.test(error.message)) return "BUSY";
  if (code.startsWith("SQLITE_"))
    return nameOf((name) => code === `SQLITE_${name}` || code.startsWith(`SQLITE_${name}_`));
  if (code === "ERR_INVALID_STATE" || /database connection is not open/.test(error.message)) return "CLOSED";
  return undefined;
}

function nameOf(matches: (name: string, code: number) => boolean): Failure {
  for (const [name, code] of Object.entries(CODES)) if (isName(name) && matches(name, code)) return name;
  return "OTHER";
}

function isName(name: string): name is keyof typeof CODES {
  return name in CODES;
}

/** Another connection holds what we need; it will let go. */
export function isBusy(error: unknown): boolean {
  const failure = failureOf(error);
  return failure === "BUSY" || failure === "LOCKED" || failure === "PROTOCOL";
}

/** No room on the disk. A file system that is full may also answer with an I/O error. */
export function isFull(error: unknown): boolean {
  if (error instanceof SojournError) return error.code === "STORE_FULL";
  const failure = failureOf(error);
  return failure === "FULL" || failure === "IOERR";
}

/** Only this one statement failed, for what it was given; SQLite has undone it and its transaction goes on. */
export function isOwnFault(error: unknown): boolean {
  const failure = failureOf(error);
  return (
    failure === undefined ||
    failure === "TOOBIG" ||
    failure === "CONSTRAINT" ||
    failure === "MISMATCH" ||
    failure === "RANGE"
  );
}

const MAPPED: Record<Failure, readonly [SojournErrorCode, string]> = {
  PERM: ["STORE_UNAVAILABLE", "may not be used by this process"],
  BUSY: ["STORE_UNAVAILABLE", "is locked by another connection"],
  LOCKED: ["STORE_UNAVAILABLE", "is locked by another connection"],
  READONLY: ["STORE_UNAVAILABLE", "is read-only"],
  IOERR: ["STORE_UNAVAILABLE", "can't be read or written (I/O error)"],
  CORRUPT: ["STORE_CORRUPT", "is damaged: restore it, or move it away to begin anew"],
  FULL: ["STORE_FULL", "has no room left on its disk"],
  CANTOPEN: ["STORE_UNAVAILABLE", "can't be opened"],
  PROTOCOL: ["STORE_UNAVAILABLE", "is locked by another connection"],
  TOOBIG: ["TOO_LARGE", "can't hold a session as large as this"],
  CONSTRAINT: ["STORE_UNAVAILABLE", "refused a statement"],
  MISMATCH: ["STORE_UNAVAILABLE", "refused a statement"],
  RANGE: ["STORE_UNAVAILABLE", "refused a statement"],
  NOTADB: ["STORE_CORRUPT", "is not a SQLite database: move it away to begin anew"],
  CLOSED: ["STORE_CLOSED", "is closed"],
  OTHER: ["STORE_UNAVAILABLE", "refused a statement"],
};

/**
 * The error that a caller sees: ours for whatever the database reports, the same for anything else. SQLite's messages
 * name columns and files, never values, so the cause may travel along.
 */
export function storeError(error: unknown, place: string): unknown {
  const failure = failureOf(error);
  if (failure === undefined) return error;
  const [code, what] = MAPPED[failure];
  return new SojournError(code, `The session database ${place} ${what}.`, error);
}
