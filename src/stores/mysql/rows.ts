import { wholeNumber } from "../sql/records.ts";
import type { SessionRecord, StoredSession } from "../store.ts";

/** The columns of a record, in the order in which {@link recordOf} reads them. */
export const RECORD = "version, created_at, touched_at, expires_at, secret_hash, user_id, payload";

/** Begins the bytes of a text with half a surrogate pair, which UTF-8 can't hold. No UTF-8 begins with it. */
const UTF16 = 0xff;

/**
 * Text as bytes: every collation of MySQL but the newest takes `a` and `a ` for the same, and a user must never be given another
 * one's sessions.
 */
export function bytesOf(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  return Buffer.concat([Buffer.of(UTF16), Buffer.from(text, "utf16le")]);
}

function textOf(value: unknown): string {
  if (!Buffer.isBuffer(value))
    throw new TypeError("MysqlStore: the table was altered: a column of bytes is another one");
  return value[0] === UTF16 ? value.toString("utf16le", 1) : value.toString();
}

/** @param row the columns of {@link RECORD} */
export function recordOf(row: readonly unknown[]): SessionRecord {
  const [version, createdAt, touchedAt, expiresAt, secretHash, userId, payload] = row;
  return {
    payload: textOf(payload),
    version: wholeNumber(version),
    secretHash: textOf(secretHash),
    userId: userId === null ? null : textOf(userId),
    createdAt: wholeNumber(createdAt),
    touchedAt: wholeNumber(touchedAt),
    expiresAt: wholeNumber(expiresAt),
  };
}

/** @param row a handle, then the columns of {@link RECORD} */
export function storedOf(row: readonly unknown[]): StoredSession {
  return { handle: textOf(row[0]), ...recordOf(row.slice(1)) };
}

/** Of a statement that has a result set. */
export function rowsOf(result: unknown): (readonly unknown[])[] {
  return Array.isArray(result) ? result.filter((row) => Array.isArray(row)) : [];
}

/** How many rows a statement has found; with a pool that was told `-FOUND_ROWS`, has changed. */
export function affectedBy(result: unknown): number {
  return typeof result === "object" && result !== null && "affectedRows" in result ? Number(result.affectedRows) : 0;
}
