import { crc32 } from "node:zlib";
import { NOTE, type SessionRecord } from "../../contract/store.ts";

/**
 * Encodes a session as one string: half the memory of a hash, and one read of one key.
 *
 *     1 vvvvvvvvvvv eeeeeeeeeee ttttttttttt ccccccccccc mmmmmmmm sssssss uuuu hhhh "user" hash payload
 *
 * A session with a link has format 3 or 4, and after the user: llll "link".
 *
 * Without the spaces: format, version, expiresAt, touchedAt, createdAt, mark, checksum, length of
 * the user ID, length of the secret hash, all numbers in base 36; then the texts. Scripts compare
 * and move the times in place. The user ID is ASCII JSON (nothing for null), so its length is the
 * same in bytes and characters; that of the hash is in characters.
 *
 * The mark distinguishes one attempt to write from another. The checksum covers the handle and
 * everything except the two times that move. It detects bytes that were damaged in transit, and
 * replies to another command (CVE-2023-28858).
 */
const PLAIN = "1";
/** A payload as JSON, for half surrogate pairs, which UTF-8 can't represent. */
const ESCAPED = "2";
const LINKED = "3";
const LINKED_ESCAPED = "4";
const FORMATS = [PLAIN, ESCAPED, LINKED, LINKED_ESCAPED];
const EXPIRES_AT = 12;
const TOUCHED_AT = 23;
const CREATED_AT = 34;
const MARK = 45;
const CHECKSUM = 53;
const USER_LENGTH = 60;
const HASH_LENGTH = 64;

/** The length before the user ID, in bytes. */
export const HEAD_BYTES = 68;
/** The prefix of an anonymous session's owner, see {@link label}. */
export const ANONYMOUS = "0000";

const LONGEST_TEXT = 36 ** 4 - 1;
const COUNTER_LENGTH = 3;

/** Returns a source of marks, which differ across processes and are no secrets. */
export function marks(): () => string {
  const length = CHECKSUM - MARK;
  const text = Math.random().toString(36).slice(2).padEnd(length, "0");
  const base = text.slice(0, length - COUNTER_LENGTH);
  let counter = 0;
  return () => {
    counter = (counter + 1) % 36 ** COUNTER_LENGTH;
    return base + counter.toString(36).padStart(COUNTER_LENGTH, "0");
  };
}

export function encodeValue(handle: string, record: SessionRecord, mark: string): string {
  const { secretHash } = record;
  const isPlain = record.payload.isWellFormed();
  const payload = isPlain ? record.payload : JSON.stringify(record.payload);
  const user = label(record.userId);
  const link = record.link === undefined ? "" : label(record.link);
  const version = timeField(record.version);
  const createdAt = timeField(record.createdAt);
  const hashLength = hashLengthOf(secretHash);
  return [
    link === "" ? (isPlain ? PLAIN : ESCAPED) : isPlain ? LINKED : LINKED_ESCAPED,
    version,
    timeField(record.expiresAt),
    timeField(record.touchedAt),
    createdAt,
    mark,
    checksumOf(handle, version, createdAt, user + link, secretHash, payload),
    user.slice(0, 4),
    hashLength,
    user.slice(4),
    link,
    secretHash,
    payload,
  ].join("");
}

/** Decodes a value. Returns `undefined` if {@link encodeValue} did not make it for this handle. */
export function decodeValue(handle: string, value: string): SessionRecord | undefined {
  const format = value.charAt(0);
  if (value.length < HEAD_BYTES || !FORMATS.includes(format)) return undefined;
  const userEnd = HEAD_BYTES + numberAt(value, USER_LENGTH, HASH_LENGTH);
  const link = linkOf(value);
  const linkEnd = userEnd + (link?.length ?? 0);
  const hashEnd = linkEnd + numberAt(value, HASH_LENGTH, HEAD_BYTES);
  if (!(hashEnd <= value.length)) return undefined;
  const secretHash = value.slice(linkEnd, hashEnd);
  const payload = value.slice(hashEnd);
  const version = value.slice(1, EXPIRES_AT);
  const createdAt = value.slice(CREATED_AT, MARK);
  const checksum = checksumOf(handle, version, createdAt, ownerOf(value) + (link ?? ""), secretHash, payload);
  if (value.slice(CHECKSUM, USER_LENGTH) !== checksum) return undefined;
  const userId: unknown = userEnd === HEAD_BYTES ? null : JSON.parse(value.slice(HEAD_BYTES, userEnd));
  const named: unknown = link === undefined ? undefined : JSON.parse(link.slice(4));
  const { expiresAt, touchedAt } = timesOf(value);
  if (!Number.isSafeInteger(expiresAt + touchedAt) || (userId !== null && typeof userId !== "string")) return undefined;
  const record = {
    payload: format === PLAIN || format === LINKED ? payload : String(JSON.parse(payload)),
    version: Number.parseInt(version, 36),
    secretHash,
    userId,
    createdAt: Number.parseInt(createdAt, 36),
    touchedAt,
    expiresAt,
  };
  return named === undefined ? record : { ...record, link: String(named) };
}

/** Returns the two times that move, from the start of a value. */
export function timesOf(value: string): { expiresAt: number; touchedAt: number } {
  return {
    expiresAt: numberAt(value, EXPIRES_AT, TOUCHED_AT),
    touchedAt: numberAt(value, TOUCHED_AT, CREATED_AT),
  };
}

/** Returns a session's user, from the start of its value, in the form of {@link label}. */
export function ownerOf(value: string): string {
  const end = HEAD_BYTES + numberAt(value, USER_LENGTH, HASH_LENGTH);
  return value.slice(USER_LENGTH, HASH_LENGTH) + value.slice(HEAD_BYTES, end);
}

/**
 * Returns a session's link, from the start of its value, in the form of {@link label}; `undefined`
 * if it has none. If the start is too short, so is the result.
 */
export function linkOf(value: string): string | undefined {
  if (!value.startsWith(LINKED) && !value.startsWith(LINKED_ESCAPED)) return undefined;
  const start = HEAD_BYTES + numberAt(value, USER_LENGTH, HASH_LENGTH);
  return value.slice(start, start + 4 + numberAt(value, start, start + 4));
}

/** Encodes a user ID or a link as values do: its length, then ASCII JSON. */
export function label(name: string | null): string {
  if (name === null) return ANONYMOUS;
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const text = JSON.stringify(name).replace(/[^ -~]/g, escaped);
  return lengthField(text, "user ID") + text;
}

/**
 * Encodes user and link for the index "ends". No session's handle begins with the mark in front of
 * the link, because those of notes do.
 */
export function labelsOf({ userId, link }: { userId: string | null; link?: string }): string {
  return label(userId) + (link === undefined ? "" : NOTE + label(link));
}

/** Encodes a secret hash's length as values do. */
export function hashLengthOf(secretHash: string): string {
  return lengthField(secretHash, "secret hash");
}

/** Encodes a version or time in a fixed width, which scripts can compare and replace. */
export function timeField(value: number): string {
  return Math.min(Math.max(0, Math.trunc(value)), Number.MAX_SAFE_INTEGER)
    .toString(36)
    .padStart(11, "0");
}

function lengthField({ length }: string, what: string): string {
  if (length > LONGEST_TEXT) throw new TypeError(`RedisStore: a ${what} is limited to ${LONGEST_TEXT} characters`);
  return length.toString(36).padStart(4, "0");
}

function checksumOf(handle: string, version: string, createdAt: string, user: string, hash: string, payload: string) {
  const sum = crc32(payload, crc32(`${handle}\n${version}${createdAt}${user}${hash.length}\n${hash}`));
  return sum.toString(36).padStart(7, "0");
}

function numberAt(value: string, start: number, end: number): number {
  return Number.parseInt(value.slice(start, end), 36);
}
