import { createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { SojournError } from "../contract/errors.ts";

/** Is one secret or several, each at least 32 random bytes. The first writes, all of them read. */
export type Secret = string | Buffer | readonly (string | Buffer)[];

/** Stands for keys that are not known yet. */
export const MANAGED: unique symbol = Symbol("managed keys");

const SALT = "sojourn v1";
const KEY_ID_BYTES = 4;
const EXAMPLES = new Set(["keyboard cat", "secret", "changeme", "your-secret-key", "shhhh"]);
const HOW_TO_MAKE_ONE = `node -e 'console.log(crypto.randomBytes(32).toString("base64url"))'`;

/**
 * @internal
 * Holds the application's keys. Derives a separate key for each purpose by HKDF-SHA-256 (RFC 5869),
 * so that what one purpose made never opens as another. Keeps `KeyObject`s: `util.inspect` shows
 * none of their bytes, and Node uses them several times faster than a Buffer.
 */
export class KeyRing {
  #masters: readonly KeyObject[];
  readonly #derived = new Map<string, readonly KeyObject[]>();
  readonly #listeners: (() => void)[] = [];

  /**
   * @param secret {@link MANAGED} for keys that `replace` brings before the first use
   * @throws TypeError for an empty or malformed secret, and for a weak one in production; elsewhere
   * a weak one warns
   */
  constructor(
    secret: Secret | typeof MANAGED,
    { production, warn }: { production: boolean; warn: (message: string) => void },
  ) {
    if (typeof secret === "symbol") {
      this.#masters = [];
      return;
    }
    const secrets = typeof secret === "string" || Buffer.isBuffer(secret) ? [secret] : secret;
    if (!Array.isArray(secrets) || secrets.length === 0) {
      throw new TypeError("secret must be a string, a Buffer, or a non-empty array of them");
    }
    this.#masters = secrets.map((one: unknown) => {
      if ((typeof one !== "string" && !Buffer.isBuffer(one)) || one.length === 0) {
        throw new TypeError("secret must be a string, a Buffer, or a non-empty array of them");
      }
      if (isWeak(one)) {
        const message = `secret is weak: use at least 32 random bytes, for example from ${HOW_TO_MAKE_ONE}`;
        if (production) throw new TypeError(message);
        warn(message);
      }
      return createSecretKey(typeof one === "string" ? Buffer.from(one, "utf8") : one);
    });
  }

  /** Puts other keys in the place of all, the writing key first. */
  replace(secrets: readonly Buffer[]): void {
    this.#masters = secrets.map((secret) => createSecretKey(secret));
    this.#derived.clear();
    for (const forget of this.#listeners) forget();
  }

  /** Calls `forget` when the keys change: what was derived from those before is no longer right. */
  onReplace(forget: () => void): void {
    this.#listeners.push(forget);
  }

  /**
   * Returns the keys of one purpose, the writing key first. Never none.
   * @throws SojournError KEYS_UNAVAILABLE before managed keys were read
   */
  keysFor(purpose: string): readonly KeyObject[] {
    if (this.#masters.length === 0) {
      throw new SojournError("KEYS_UNAVAILABLE", "the managed keys were not read yet: await keys.ready() first");
    }
    let keys = this.#derived.get(purpose);
    if (keys === undefined) {
      keys = this.#masters.map((master) => createSecretKey(Buffer.from(hkdfSync("sha256", master, SALT, purpose, 32))));
      this.#derived.set(purpose, keys);
    }
    return keys;
  }

  /**
   * Returns four bytes that identify a key to all processes of the application, without
   * configuration, because they derive from it. Every seal carries them; they reveal nothing about
   * the key.
   */
  keyId(position: number): Buffer {
    const master = this.#masters[position];
    if (master === undefined) throw new RangeError("no key has this position");
    return Buffer.from(hkdfSync("sha256", master, SALT, "key ID", KEY_ID_BYTES));
  }
}

/** @internal Returns the HMAC-SHA-256 (RFC 2104) of a text's UTF-8, as base64url. */
export function macOf(key: KeyObject, text: string): string {
  return createHmac("sha256", key).update(text).digest("base64url");
}

/**
 * Recognises secrets under 32 bytes, published examples, and secrets of so few different characters
 * that a person typed them.
 */
function isWeak(secret: string | Buffer): boolean {
  if (typeof secret === "string" && EXAMPLES.has(secret.trim().toLowerCase())) return true;
  return secret.length < 32 || new Set<string | number>(secret).size < 10;
}
