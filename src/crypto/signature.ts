import { createHash, createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import { TwoGenerationCache } from "./token.ts";

/**
 * Reads and writes the cookie signatures of other libraries, compatibly with them. `token.ts` makes
 * Sojourn's tokens.
 */

/** Is a key that signs cookies: text, bytes or a `KeyObject`. */
export type SignatureKey = string | NodeJS.ArrayBufferView | KeyObject;

/**
 * Signs a value in the format of `cookie-signature`: the value, a dot, and HMAC-SHA-256 in standard
 * base64 without padding.
 * @throws TypeError without a key
 */
export function signValue(value: string, key: SignatureKey): string {
  if (typeof value !== "string") throw new TypeError("Cookie value must be provided as a string.");
  if (key === undefined || key === null) throw new TypeError("Secret key must be provided.");
  // The last of 44 characters is the padding.
  return `${value}.${createHmac("sha256", key).update(value).digest("base64").slice(0, -1)}`;
}

/** A value, and the key that it was signed with. */
interface Verified {
  readonly value: string;
  readonly key: string | KeyObject;
}

/** Signed texts that were verified, so that a visitor's next request needs no HMAC. The limit of a generation is in characters. */
const verified = new TwoGenerationCache<Verified>(1_000_000);

/** Returns the value of a text that `signValue` made with any key. The value may contain dots. */
export function unsignValue(text: string, keys: readonly SignatureKey[]): string | undefined {
  const known = verified.get(text);
  if (known !== undefined && keys.includes(known.key)) return known.value;
  const value = text.slice(0, Math.max(0, text.lastIndexOf(".")));
  const key = keys.find((key) => sameText(signValue(value, key), text));
  if (key === undefined) return undefined;
  // The bytes of a view can change under it.
  if (!ArrayBuffer.isView(key)) remember(text, value.length, key);
  return value;
}

function remember(text: string, length: number, key: string | KeyObject): void {
  // A copy, as the text may be a slice of a long header. One with a lone surrogate has no copy.
  const own = Buffer.from(text).toString();
  if (own === text) verified.set(own, { value: own.slice(0, length), key }, own.length);
}

/**
 * Returns the handle under which Sojourn stores another library's session: a hash of its ID, so
 * that the store reveals no ID.
 */
export function handleOf(id: string): string {
  return createHash("sha256").update(id).digest().toString("base64url", 0, 16);
}

/** Signs and checks cookies: a `Keygrip`, or an object with its methods. */
export interface Signer {
  sign(text: string): string;
  /** Returns the position of the key that made this signature, or -1. */
  index(text: string, signature: string): number;
}

/** Signs like `keygrip`, by HMAC-SHA-1 as base64url. The first key signs, all of them verify. */
export function keygripSigner(keys: readonly SignatureKey[]): Signer {
  if (keys.length === 0) throw new Error("Keys must be provided.");
  const sign = (text: string, key: SignatureKey) => createHmac("sha1", key).update(text).digest("base64url");
  return {
    // Reads the array each time, because applications rotate keys by changing it.
    sign: (text) => sign(text, keys[0] ?? ""),
    index: (text, signature) => keys.findIndex((key) => sameText(sign(text, key), signature)),
  };
}

/** Compares two texts in a time that does not depend on where they differ. */
function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
