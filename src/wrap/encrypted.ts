import { isTombstone, type SessionRecord, type SessionStore } from "../contract/store.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { Sealer } from "../crypto/seal.ts";
import { wrapStore } from "./wrap.ts";

/** No codec accepts this payload, so its record counts as damaged. */
const DAMAGED = "";

/**
 * Encrypts payloads at rest: a copy of the database, or a backup, reveals no session data.
 *
 * Each seal is bound to its record's handle, version, user, link, secret hash and creation time. So a
 * payload can't be moved to another row, and changing these columns can't turn a session into an
 * administrator's. The times that a touch moves are not bound. Any other payload, plain text
 * included, reads as damaged and never as data (CVE-2026-39324).
 *
 * @param name the kind of records; a seal of one kind never opens as another
 * @example
 * app.use(session({ store: new RedisStore(url), secret, encrypt: true })); // wraps the store
 */
export function encrypted(store: SessionStore, ring: KeyRing, name = "record"): SessionStore {
  const sealer = new Sealer(ring, { purpose: "store", name });
  return wrapStore(store, {
    // Tombstones stay plain: they hold handles, which are no secrets, and stores merge them.
    encode(handle, record) {
      if (isTombstone(handle)) return record;
      return { ...record, payload: sealer.seal(bytesOf(record.payload), bindings(handle, record)) };
    },
    decode(handle, record) {
      if (isTombstone(handle)) return record;
      const unsealed = sealer.open(record.payload, bindings(handle, record));
      return { ...record, payload: unsealed === undefined ? DAMAGED : textOf(unsealed.body) };
    },
  });
}

function bindings(handle: string, { version, userId, link, secretHash, createdAt }: SessionRecord): string[] {
  const user = userId === null ? [] : [userId];
  // Their number tells a link without a user from a user without a link.
  return [
    handle,
    String(version),
    secretHash,
    String(createdAt),
    ...user,
    ...(link === undefined ? [] : ["link", link]),
  ];
}

/** The first byte names the encoding: UTF-8 can't represent half a surrogate pair. */
function bytesOf(text: string): Buffer {
  return text.isWellFormed() ? Buffer.from(`\0${text}`, "utf8") : Buffer.from(`\u0001${text}`, "utf16le");
}

function textOf(bytes: Buffer): string {
  return bytes[0] === 0 ? bytes.toString("utf8", 1) : bytes.toString("utf16le", 2);
}
