import type { SessionRecord } from "../stores/store.ts";

/**
 * A record as it travels in a seal, all numbers big-endian:
 *
 *     flags[1] = 0 | createdAt u48 | touchedAt u48 | expiresAt u48 | handle[16] | version u32 | user length u16 | user | payload
 *
 * The times are epoch milliseconds; `expiresAt` is the earlier of the idle and the absolute deadline when it was sealed. A user
 * length of 65,535 means that there is none.
 */
const HANDLE_BYTES = 16;
const HANDLE_AT = 1 + 3 * 6;
const VERSION_AT = HANDLE_AT + HANDLE_BYTES;
const USER_LENGTH_AT = VERSION_AT + 4;
const USER_AT = USER_LENGTH_AT + 2;
const NOBODY = 0xffff;

/** What a seal needs beside user and payload. */
export const SEALED_RECORD_BYTES = USER_AT;

export function encodeSealed(handle: string, record: SessionRecord): Buffer {
  const { createdAt, touchedAt, expiresAt, version, userId, payload } = record;
  const user = Buffer.from(userId ?? "", "utf8");
  const head = Buffer.alloc(USER_AT);
  for (const [position, time] of [createdAt, touchedAt, expiresAt].entries())
    head.writeUIntBE(time, 1 + 6 * position, 6);
  head.write(handle, HANDLE_AT, "base64url");
  head.writeUInt32BE(version, VERSION_AT);
  head.writeUInt16BE(userId === null ? NOBODY : user.length, USER_LENGTH_AT);
  return Buffer.concat([head, user, Buffer.from(payload, "utf8")]);
}

/** `undefined` for what `encodeSealed` never wrote: another format's, sealed by a later version of this library. */
export function decodeSealed(body: Buffer): { handle: string; record: SessionRecord } | undefined {
  if (body.length < USER_AT || body[0] !== 0) return undefined;
  const [createdAt, touchedAt, expiresAt] = [1, 7, 13].map((at) => body.readUIntBE(at, 6));
  if (createdAt === undefined || touchedAt === undefined || expiresAt === undefined) return undefined;
  const length = body.readUInt16BE(USER_LENGTH_AT);
  const payloadAt = USER_AT + (length === NOBODY ? 0 : length);
  if (payloadAt > body.length) return undefined;
  const record = {
    createdAt,
    touchedAt,
    expiresAt,
    version: body.readUInt32BE(VERSION_AT),
    secretHash: "",
    userId: length === NOBODY ? null : body.toString("utf8", USER_AT, payloadAt),
    payload: body.toString("utf8", payloadAt),
  };
  return { handle: body.toString("base64url", HANDLE_AT, VERSION_AT), record };
}
