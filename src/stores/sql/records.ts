import { SojournError } from "../../contract/errors.ts";
import type { SessionRecord, StoredSession } from "../../contract/store.ts";
import type { SqlDialect, Value } from "./dialect.ts";

/** How a database keeps text. */
export type Text = Pick<SqlDialect<never, never>, "encode" | "decode">;

/** The longest texts, in bytes: what fits an index of every database and page size. */
const MOST_BYTES = { handle: 255, secretHash: 255, userId: 1_024 } as const;

/**
 * A record's columns as values for a statement.
 *
 * @throws TypeError that names the field, not its value, for what a column would cut off or an index refuse.
 */
export function valuesOf(text: Text, handle: string, record: SessionRecord) {
  const texts = {
    handle: text.encode(handle),
    secretHash: text.encode(record.secretHash),
    userId: record.userId === null ? null : text.encode(record.userId),
  };
  for (const field of ["handle", "secretHash", "userId"] as const) {
    if (Buffer.byteLength(texts[field] ?? "") <= MOST_BYTES[field]) continue;
    throw new TypeError(`${field} is longer than the ${MOST_BYTES[field]} bytes that there is room for`);
  }
  return {
    ...texts,
    version: record.version,
    createdAt: wholeMs(record.createdAt),
    touchedAt: wholeMs(record.touchedAt),
    expiresAt: wholeMs(record.expiresAt),
    payload: text.encode(record.payload),
  } satisfies Record<string, Value>;
}

/** @param row the columns of `RECORD` */
export function recordOf(text: Text, row: readonly unknown[]): SessionRecord {
  const [version, createdAt, touchedAt, expiresAt, secretHash, userId, payload] = row;
  return {
    payload: text.decode(payload),
    version: wholeNumber(version),
    secretHash: text.decode(secretHash),
    userId: userId === null ? null : text.decode(userId),
    createdAt: wholeNumber(createdAt),
    touchedAt: wholeNumber(touchedAt),
    expiresAt: wholeNumber(expiresAt),
  };
}

/** @param row a handle, then the columns of `RECORD` */
export function storedOf(text: Text, row: readonly unknown[]): StoredSession {
  return { handle: text.decode(row[0]), ...recordOf(text, row.slice(1)) };
}

/**
 * A number as a driver gave it. Databases hold no others in these columns, so another one was damaged on its way; and a session whose time is no number
 * would never end.
 */
function wholeNumber(value: unknown): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new SojournError("STORE_CORRUPT", "A session was damaged on its way from the database: a number is none.");
}

/** An idle timeout of half a millisecond is legal, and a column of integers is not the place to refuse it. */
export function wholeMs(time: number): number {
  return Math.floor(time);
}
