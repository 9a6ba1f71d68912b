import { crc32 } from "node:zlib";
import type { SessionRecord } from "../../contract/store.ts";

/**
 * A session as one string: half the memory of a hash, and one read of one key.
 *
 *     1 vvvvvvvvvvv eeeeeeeeeee ttttttttttt ccccccccccc mmmmmmmm sssssss uuuu hhhh "user" hash payload     (without the spaces)
 *
 * format, version, expiresAt, touchedAt, createdAt, mark, checksum, length of the user ID, length of the secret's hash;
 * numbers in base 36. Scripts compare and move the times in place, without touching the payload. The user ID is ASCII
 * JSON (nothing for null), so that its length is the same in bytes and in characters; the hash's is in characters.
 *
 * The mark tells one attempt to write from another. The checksum covers all but the two times that move, and the handle: bytes that
 * were damaged on their way, or that answer another question than the one asked (CVE-2023-28858), are noticed.
 */
const PLAIN = "1";
/** The payload as JSON: for text with half a surrogate pair, which UTF-8 hasn't. */
const ESCAPED = "2";
const EXPIRES_AT = 12;
const TOUCHED_AT = 23;
const CREATED_AT = 34;
const MARK = 45;
const CHECKSUM = 53;
const USER_LENGTH = 60;
const HASH_LENGTH = 64;

/** The bytes before the user ID. */
export const HEAD_BYTES = 68;
/** The characters of a mark. */
export const MARK_LENGTH = 8;

const LONGEST_TEXT = 36 ** 4 - 1;

export function encodeValue(handle: string, record: SessionRecord, mark: string): string {
  const { secretHash } = record;
  const isPlain = record.payload.isWellFormed();
  const payload = isPlain ? record.payload : JSON.stringify(record.payload);
  const user = owner(record.userId);
  const version = timeField(record.version);
  const createdAt = timeField(record.createdAt);
  const hashLength = lengthField(secretHash, "secret hash");
  const checksum = checksumOf(handle, version, createdAt, user, secretHash, payload);
  return (
    (isPlain ? PLAIN : ESCAPED) +
    version +
    timeField(record.expiresAt) +
    timeField(record.touchedAt) +
    createdAt +
    mark +
    checksum +
    user.slice(0, 4) +
    hashLength +
    user.slice(4) +
    secretHash +
    payload
  );
}

/** `undefined` for what {@link encodeValue} did not make for this handle. */
export function decodeValue(handle: string, value: string): SessionRecord | undefined {
  if (value.length < HEAD_BYTES || !(value.startsWith(PLAIN) || value.startsWith(ESCAPED))) return undefined;
  const userEnd = HEAD_BYTES + numberAt(value, USER_LENGTH, HASH_LENGTH);
  const hashEnd = userEnd + numberAt(value, HASH_LENGTH, HEAD_BYTES);
  if (!(hashEnd <= value.length)) return undefined;
  const user = value.slice(USER_LENGTH, HASH_LENGTH) + value.slice(HEAD_BYTES, userEnd);
  const secretHash = value.slice(userEnd, hashEnd);
  const payload = value.slice(hashEnd);
  const version = value.slice(1, EXPIRES_AT);
  const createdAt = value.slice(CREATED_AT, MARK);
  const checksum = checksumOf(handle, version, createdAt, user, secretHash, payload);
  if (value.slice(CHECKSUM, USER_LENGTH) !== checksum) return undefined;
  const userId: unknown = userEnd === HEAD_BYTES ? null : JSON.parse(value.slice(HEAD_BYTES, userEnd));
  const { expiresAt, touchedAt } = timesOf(value);
  if (!Number.isSafeInteger(expiresAt + touchedAt) || (userId !== null && typeof userId !== "string")) return undefined;
  return {
    payload: value.startsWith(PLAIN) ? payload : String(JSON.parse(payload)),
    version: Number.parseInt(version, 36),
    secretHash,
    userId,
    createdAt: Number.parseInt(createdAt, 36),
    touchedAt,
    expiresAt,
  };
}

/** The two times that move, from the beginning of a value. */
export function timesOf(value: string): { expiresAt: number; touchedAt: number } {
  return {
    expiresAt: numberAt(value, EXPIRES_AT, TOUCHED_AT),
    touchedAt: numberAt(value, TOUCHED_AT, CREATED_AT),
  };
}

/** Whose session a value is, from its beginning: the same text as {@link owner} makes. */
export function ownerOf(value: string): string {
  const end = HEAD_BYTES + numberAt(value, USER_LENGTH, HASH_LENGTH);
  return value.slice(USER_LENGTH, HASH_LENGTH) + value.slice(HEAD_BYTES, end);
}

/** A user ID as a value holds it: its length, then ASCII JSON. Four zeros for nobody's. */
export function owner(userId: string | null): string {
  if (userId === null) return "0000";
  const text = JSON.stringify(userId).replace(/[^ -~]/g, escaped);
  return lengthField(text, "user ID") + text;
}

/** A version or a time, with as many digits as every other, so that text can be compared and replaced in place. */
export function timeField(value: number): string {
  return Math.min(Math.max(0, Math.trunc(value)), Number.MAX_SAFE_INTEGER)
    .toString(36)
    .padStart(11, "0");
}

function lengthField({ length }: string, what: string): string {
  if (length > LONGEST_TEXT)
    throw new TypeError(`RedisStore: a ${what} must be shorter than ${LONGEST_TEXT} characters`);
  return length.toString(36).padStart(4, "0");
}

function checksumOf(
  handle: string,
  version: string,
  createdAt: string,
  user: string,
  hash: string,
  payload: string,
): string {
  const sum = crc32(payload, crc32(`${handle}\n${version}${createdAt}${user}${hash.length}\n${hash}`));
  return sum.toString(36).padStart(7, "0");
}

function numberAt(value: string, start: number, end: number): number {
  return Number.parseInt(value.slice(start, end), 36);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
