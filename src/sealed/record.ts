import { toUSVString } from "node:util";
import type { SessionRecord } from "../contract/store.ts";

/**
 * A record inside a seal, all numbers big-endian:
 *
 *     flags[1] | createdAt u48 | touchedAt u48 | expiresAt u48 | handle[16] | version u32 |
 *     user length u16 | user | payload
 *
 * Times are epoch milliseconds. `expiresAt` is the earlier of the idle and the absolute deadline at
 * the time of sealing. A user length of 65,535 means no user. Flags: 0; or 2, if a store holds the
 * payload, and the 16 bytes in its place name the record. 1 meant a compressed payload, and stays
 * reserved.
 */
const HANDLE_BYTES = 16;
const HANDLE_AT = 1 + 3 * 6;
const VERSION_AT = HANDLE_AT + HANDLE_BYTES;
const USER_LENGTH_AT = VERSION_AT + 4;
const USER_AT = USER_LENGTH_AT + 2;
const NOBODY = 0xffff;
const OVERFLOW = 2;

/** The size of a sealed record without user and payload. */
export const SEALED_RECORD_BYTES = USER_AT;

/** Returns the bytes that a record takes in a seal if a store holds its payload. */
export function overflowBytes({ userId }: Pick<SessionRecord, "userId">): number {
  return SEALED_RECORD_BYTES + Buffer.byteLength(userId ?? "") + HANDLE_BYTES;
}

/** Returns the bytes that a record takes in a seal. */
export function sealedBytes({ userId, payload }: Pick<SessionRecord, "userId" | "payload">): number {
  return SEALED_RECORD_BYTES + Buffer.byteLength(userId ?? "") + Buffer.byteLength(payload);
}

export function encodeSealed(handle: string, record: SessionRecord): Buffer {
  return encode(handle, record, 0, record.payload);
}

/** @param overflowKey names the record that holds the payload */
export function encodeOverflow(handle: string, record: SessionRecord, overflowKey: string): Buffer {
  return encode(handle, record, OVERFLOW, Buffer.from(overflowKey, "base64url"));
}

/** @param rest the bytes after the user, text as UTF-8; the flags tell which */
function encode(handle: string, record: SessionRecord, flags: number, rest: Buffer | string): Buffer {
  const { createdAt, touchedAt, expiresAt, version, userId } = record;
  const userBytes = Buffer.byteLength(userId ?? "");
  const body = Buffer.allocUnsafe(USER_AT + userBytes + Buffer.byteLength(rest));
  body.fill(0, 0, USER_AT);
  body[0] = flags;
  body.writeUIntBE(createdAt, 1, 6);
  body.writeUIntBE(touchedAt, 7, 6);
  body.writeUIntBE(expiresAt, 13, 6);
  body.write(handle, HANDLE_AT, HANDLE_BYTES, "base64url");
  body.writeUInt32BE(version, VERSION_AT);
  body.writeUInt16BE(userId === null ? NOBODY : userBytes, USER_LENGTH_AT);
  if (userId !== null) body.write(userId, USER_AT);
  if (typeof rest === "string") body.write(rest, USER_AT + userBytes);
  else rest.copy(body, USER_AT + userBytes);
  return body;
}

/** A session as its seal holds it. */
export interface Sealed {
  handle: string;
  record: SessionRecord;
  /** Names the record that holds the payload, if the seal does not. */
  overflowKey?: string;
}

/** Returns what `decodeSealed` would return for a seal of this record. */
export function asSealed(handle: string, record: SessionRecord, overflowKey: string | undefined): Sealed {
  const { createdAt, touchedAt, expiresAt, userId } = record;
  const sealed: Sealed = {
    handle,
    record: {
      createdAt: Math.floor(createdAt),
      touchedAt: Math.floor(touchedAt),
      expiresAt: Math.floor(expiresAt),
      version: record.version,
      secretHash: "",
      userId: userId === null ? null : toUSVString(userId),
      payload: overflowKey === undefined ? toUSVString(record.payload) : "",
    },
  };
  if (overflowKey !== undefined) sealed.overflowKey = overflowKey;
  return sealed;
}

/** Returns `undefined` for a format that this version never writes, such as a later one. */
export function decodeSealed(body: Buffer): Sealed | undefined {
  const flags = body[0];
  if (body.length < USER_AT || (flags !== 0 && flags !== OVERFLOW)) return undefined;
  const [createdAt, touchedAt, expiresAt] = [1, 7, 13].map((at) => body.readUIntBE(at, 6));
  if (createdAt === undefined || touchedAt === undefined || expiresAt === undefined) return undefined;
  const length = body.readUInt16BE(USER_LENGTH_AT);
  const payloadAt = USER_AT + (length === NOBODY ? 0 : length);
  if (payloadAt > body.length) return undefined;
  const rest = body.subarray(payloadAt);
  if (flags === OVERFLOW && rest.length !== HANDLE_BYTES) return undefined;
  const record = {
    createdAt,
    touchedAt,
    expiresAt,
    version: body.readUInt32BE(VERSION_AT),
    secretHash: "",
    userId: length === NOBODY ? null : body.toString("utf8", USER_AT, payloadAt),
    payload: flags === OVERFLOW ? "" : rest.toString("utf8"),
  };
  const handle = body.toString("base64url", HANDLE_AT, VERSION_AT);
  return flags === OVERFLOW ? { handle, record, overflowKey: rest.toString("base64url") } : { handle, record };
}
