import { wholeNumber } from "../sql/records.ts";
import type { SessionRecord, StoredSession } from "../store.ts";

/** The columns of a record, in the order in which {@link recordOf} reads them. */
export const RECORD = "version, created_at, touched_at, expires_at, secret_hash, user_id, payload";

/** Begins text that is kept as JSON, because PostgreSQL's `text` can't hold a zero character or half a surrogate pair. */
const ESCAPED = "\u0001";

/** Text as PostgreSQL can hold it: nearly always the same text. */
export function storable(text: string): string {
  if (!text.includes("\0") && !text.startsWith(ESCAPED) && text.isWellFormed()) return text;
  return ESCAPED + JSON.stringify(text);
}

function restored(value: unknown): string {
  const text = String(value);
  if (!text.startsWith(ESCAPED)) return text;
  const escaped: unknown = JSON.parse(text.slice(ESCAPED.length));
  return String(escaped);
}

/** @param row the columns of {@link RECORD}, in PostgreSQL's text format */
export function recordOf(row: readonly unknown[]): SessionRecord {
  const [version, createdAt, touchedAt, expiresAt, secretHash, userId, payload] = row;
  return {
    payload: restored(payload),
    version: wholeNumber(version),
    secretHash: restored(secretHash),
    userId: userId === null ? null : restored(userId),
    createdAt: wholeNumber(createdAt),
    touchedAt: wholeNumber(touchedAt),
    expiresAt: wholeNumber(expiresAt),
  };
}

/** @param row a handle, then the columns of {@link RECORD} */
export function storedOf(row: readonly unknown[]): StoredSession {
  return { handle: restored(row[0]), ...recordOf(row.slice(1)) };
}

/** A `boolean`. */
export function isTrue(value: unknown): boolean {
  return value === "t";
}
