import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { SessionRecord } from "../stores/store.ts";

/**
 * A record as it travels in a seal, all numbers big-endian:
 *
 *     flags[1] | createdAt u48 | touchedAt u48 | expiresAt u48 | handle[16] | version u32 | user length u16 | user | payload
 *
 * The times are epoch milliseconds; `expiresAt` is the earlier of the idle and the absolute deadline when it was sealed. A user
 * length of 65,535 means that there is none. Flags: bit 0, the payload is deflated (RFC 1951); all others zero.
 */
const HANDLE_BYTES = 16;
const HANDLE_AT = 1 + 3 * 6;
const VERSION_AT = HANDLE_AT + HANDLE_BYTES;
const USER_LENGTH_AT = VERSION_AT + 4;
const USER_AT = USER_LENGTH_AT + 2;
const NOBODY = 0xffff;
const DEFLATED = 1;
/** Shorter payloads would hardly take fewer cookies. */
const DEFLATE_FROM_BYTES = 1_024;
/** A deflated payload is never longer than this when it is opened, whoever made it (CVE-2024-28176). */
export const MOST_INFLATED_BYTES = 65_536;

/** What a seal needs beside user and payload. */
export const SEALED_RECORD_BYTES = USER_AT;

/** How many bytes a record takes in a seal. */
export function sealedBytes({ userId, payload }: Pick<SessionRecord, "userId" | "payload">, compress: boolean): number {
  return SEALED_RECORD_BYTES + Buffer.byteLength(userId ?? "") + packed(payload, compress).bytes.length;
}

/** @param compress whether a long payload is deflated; it must not be longer than {@link MOST_INFLATED_BYTES} then */
export function encodeSealed(handle: string, record: SessionRecord, compress = false): Buffer {
  const { createdAt, touchedAt, expiresAt, version, userId, payload } = record;
  const user = Buffer.from(userId ?? "", "utf8");
  const { flags, bytes } = packed(payload, compress);
  const head = Buffer.alloc(USER_AT);
  head[0] = flags;
  for (const [position, time] of [createdAt, touchedAt, expiresAt].entries())
    head.writeUIntBE(time, 1 + 6 * position, 6);
  head.write(handle, HANDLE_AT, "base64url");
  head.writeUInt32BE(version, VERSION_AT);
  head.writeUInt16BE(userId === null ? NOBODY : user.length, USER_LENGTH_AT);
  return Buffer.concat([head, user, bytes]);
}

/** `undefined` for what `encodeSealed` never wrote: another format's, sealed by a later version of this library. */
export function decodeSealed(body: Buffer): { handle: string; record: SessionRecord } | undefined {
  const flags = body[0];
  if (body.length < USER_AT || (flags !== 0 && flags !== DEFLATED)) return undefined;
  const [createdAt, touchedAt, expiresAt] = [1, 7, 13].map((at) => body.readUIntBE(at, 6));
  if (createdAt === undefined || touchedAt === undefined || expiresAt === undefined) return undefined;
  const length = body.readUInt16BE(USER_LENGTH_AT);
  const payloadAt = USER_AT + (length === NOBODY ? 0 : length);
  if (payloadAt > body.length) return undefined;
  const payload = flags === DEFLATED ? inflated(body.subarray(payloadAt)) : body.subarray(payloadAt);
  if (payload === undefined) return undefined;
  const record = {
    createdAt,
    touchedAt,
    expiresAt,
    version: body.readUInt32BE(VERSION_AT),
    secretHash: "",
    userId: length === NOBODY ? null : body.toString("utf8", USER_AT, payloadAt),
    payload: payload.toString("utf8"),
  };
  return { handle: body.toString("base64url", HANDLE_AT, VERSION_AT), record };
}

function packed(payload: string, compress: boolean): { flags: number; bytes: Buffer } {
  const bytes = Buffer.from(payload, "utf8");
  if (!compress || bytes.length < DEFLATE_FROM_BYTES) return { flags: 0, bytes };
  return { flags: DEFLATED, bytes: deflateRawSync(bytes) };
}

/** `undefined` for what is longer than any session, or not deflated. Zlib stops at the limit: it never takes more memory than that. */
function inflated(bytes: Buffer): Buffer | undefined {
  try {
    return inflateRawSync(bytes, { maxOutputLength: MOST_INFLATED_BYTES });
  } catch {
    return undefined;
  }
}
