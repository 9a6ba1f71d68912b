import { randomBytes } from "node:crypto";
import { SojournError } from "../../contract/errors.ts";
import { NOTE, type SessionRecord, type StoredSession } from "../../contract/store.ts";

/** A value bound to a parameter. */
export type Value = string | number | Buffer | null;

/** How a database stores text. */
export interface Codec {
  /** Text as the columns hold it, compared byte by byte. */
  encode(text: string): string | Buffer;
  decode(value: unknown): string;
}

/** A record's columns, in the order that {@link recordOf} reads. */
export const RECORD = "version, created_at, touched_at, expires_at, secret_hash, user_id, payload, link";

const AFTER_NOTES = String.fromCharCode(NOTE.charCodeAt(0) + 1);
/** Conditions that an index on `handle` can answer, because it compares bytes. */
export const IS_NOTE = `handle >= '${NOTE}' AND handle < '${AFTER_NOTES}'`;
export const IS_SESSION = `(handle < '${NOTE}' OR handle >= '${AFTER_NOTES}')`;

/** The longest texts, in bytes. They fit an index of every database and page size. */
const MAX_BYTES = { handle: 255, secretHash: 255, userId: 1_024, link: 255 } as const;

/**
 * Checks a table or schema name. Statements can't bind names, so a name that needs escaping is
 * refused (CWE-89). Statements still quote it: for its case, and for reserved words. PostgreSQL
 * allows 63 bytes, MySQL 64 characters.
 *
 * @throws TypeError for any other name; the message does not repeat the name
 */
export function checkedName(name: string, option: string): string {
  if (typeof name === "string" && /^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(name)) return name;
  throw new TypeError(`${option} must be a letter or _ followed by at most 62 letters, digits or _`);
}

/**
 * Converts a record to the values of a statement.
 *
 * @throws TypeError for text that a column would truncate or an index reject; names the field only
 */
export function valuesOf({ encode }: Codec, handle: string, record: SessionRecord) {
  const texts = {
    handle: encode(handle),
    secretHash: encode(record.secretHash),
    userId: record.userId === null ? null : encode(record.userId),
    link: record.link === undefined ? null : encode(record.link),
  };
  for (const field of ["handle", "secretHash", "userId", "link"] as const) {
    if (Buffer.byteLength(texts[field] ?? "") <= MAX_BYTES[field]) continue;
    throw new TypeError(`${field} is longer than the ${MAX_BYTES[field]} bytes that its column holds`);
  }
  return {
    ...texts,
    version: record.version,
    createdAt: wholeMs(record.createdAt),
    touchedAt: wholeMs(record.touchedAt),
    expiresAt: wholeMs(record.expiresAt),
    payload: encode(record.payload),
  } satisfies Record<string, Value>;
}

/** Reads the columns of {@link RECORD}. */
export function recordOf(
  { decode, number = wholeNumber }: Pick<Codec, "decode"> & { number?: (value: unknown) => number },
  row: readonly unknown[],
): SessionRecord {
  // By index: destructuring the array costs a list 5 % more.
  const record = {
    payload: decode(row[6]),
    version: number(row[0]),
    secretHash: decode(row[4]),
    userId: row[5] === null ? null : decode(row[5]),
    createdAt: number(row[1]),
    touchedAt: number(row[2]),
    expiresAt: number(row[3]),
  };
  return row[7] === null ? record : { ...record, link: decode(row[7]) };
}

/** Reads the columns of {@link RECORD}, then a handle. */
export function storedOf(codec: Parameters<typeof recordOf>[0], row: readonly unknown[]): StoredSession {
  return { handle: codec.decode(row[8]), ...recordOf(codec, row) };
}

/**
 * Reads a number as a driver returned it. The columns hold integers only, so anything else was
 * damaged on its way. A session whose expiry is not a number would never end.
 */
function wholeNumber(value: unknown): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new SojournError("STORE_CORRUPT", "The session database returned text where a number belongs.");
}

/** Rounds down for a column of integers: an idle timeout of half a millisecond is legal. */
export function wholeMs(time: number): number {
  return Math.floor(time);
}

/** How many writes one process counts before the count starts over. */
const WRAP = 2 ** 21;

/**
 * Returns a generator of write IDs. Each differs from all others, here and in other processes, for
 * longer than any retry takes. A row keeps the ID of its last write, so a retry recognizes its own
 * first attempt. Equal content would prove nothing: two requests may both count from 5 to 6.
 */
export function writeIds(): () => number {
  // 32 random bits above a count of 21 bits: doubles and signed 64-bit columns hold 53 bits.
  const base = randomBytes(4).readUInt32BE() * WRAP;
  let count = 0;
  return () => {
    count = (count + 1) % WRAP;
    return base + count;
  };
}
