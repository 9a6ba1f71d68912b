import { hash, timingSafeEqual } from "node:crypto";
import { type KeyRing, macOf } from "./key-ring.ts";
import { type RandomFill, RandomPool } from "./random.ts";

/**
 * Tokens: `handle.secret`, plus `.mac` if the application has a key.
 *
 * The handle (128 bits) names the session and opens nothing. Only the browser knows the secret (192
 * bits); a store keeps its SHA-256. The MAC protects the store: without the key, no attacker can
 * make a token that reaches it, not even with write access to it. OWASP ASVS 7.2.3 requires 128
 * bits of entropy.
 */
const HANDLE_BYTES = 16;
const SECRET_BYTES = 24;
const HANDLE_LENGTH = 22;
const SECRET_LENGTH = 32;
/** 132 bits: the first 22 characters of the MAC. */
const MAC_LENGTH = 22;
const BARE_LENGTH = HANDLE_LENGTH + 1 + SECRET_LENGTH;
const MAC_TOKEN_LENGTH = BARE_LENGTH + 1 + MAC_LENGTH;

/** A handle's last character has four unused bits, which are zero in the canonical form. */
const HANDLE = /^[A-Za-z0-9_-]{21}[AQgw]$/;
const TOKEN = /^[A-Za-z0-9_-]{21}[AQgw]\.[A-Za-z0-9_-]{32}(?:\.[A-Za-z0-9_-]{22})?$/;

export function isHandle(text: string): boolean {
  return HANDLE.test(text);
}

/** Makes handles and secrets. */
export class TokenSource {
  readonly #random: RandomPool;

  constructor(fill?: RandomFill) {
    this.#random = new RandomPool(fill);
  }

  handle(): string {
    return this.#random.text(HANDLE_BYTES);
  }

  secret(): string {
    return this.#random.text(SECRET_BYTES);
  }
}

/** A token whose form and MAC are valid. The store's record decides whether it opens a session. */
export interface VerifiedToken {
  handle: string;
  secret: string;
  secretHash: string;
  /** Whether an older key made its MAC, so that it should be sent again. */
  outdated: boolean;
  /** The hashes, by each key, that this user's record may hold. The backend sets it. */
  owner?: { userId: string; createdAt: number; hashes: readonly string[] };
  /** The token's successor, `false` for none; absent until it was looked up. Set by the backend. */
  rotated?: { readonly handle: string | undefined; readonly until: number } | false;
  /**
   * Epoch milliseconds. Before that, a request that doesn't read its session has no use to store.
   * The backend sets it.
   */
  touchDueAt: number;
}

/** Returns the hash of a secret, which the store keeps. */
export function hashSecret(secret: string): string {
  return hash("sha256", secret, "base64url");
}

/** Derives a handle, which no session has. Only a guess of the purpose reveals the purpose. */
export function derivedHandle(purpose: string): string {
  return Buffer.from(hashSecret(purpose), "base64url").toString("base64url", 0, HANDLE_BYTES);
}

const HASH_LENGTH = 43;

/** Whether a text has the form of a secret's hash, as only sessions and their parts have. */
export function isSecretHash(text: string): boolean {
  return text.length === HASH_LENGTH;
}

const [LEFT, RIGHT] = [Buffer.alloc(HASH_LENGTH), Buffer.alloc(HASH_LENGTH)];

/**
 * Compares two hashes of `hashSecret` in a time that does not depend on where they differ. Returns
 * `false` for other texts.
 */
export function sameHash(a: string, b: string): boolean {
  if (a.length !== HASH_LENGTH || b.length !== HASH_LENGTH) return false;
  LEFT.write(a, "latin1");
  RIGHT.write(b, "latin1");
  return timingSafeEqual(LEFT, RIGHT);
}

/** How many verified tokens are cached: a visitor's next request needs no MAC and no hash. */
const REMEMBERED = 10_000;

/**
 * Writes and verifies the tokens of one name. The MAC covers the cookie's name, so that a token
 * never works under another name.
 */
export class TokenCodec {
  readonly #ring: KeyRing | undefined;
  readonly #purpose: string;
  /** Holds only texts that passed every check. */
  #checked = new TwoGenerationCache<VerifiedToken>(REMEMBERED / 2);

  constructor(ring: KeyRing | undefined, name: string) {
    this.#ring = ring;
    this.#purpose = `token|${name}`;
    ring?.onReplace(() => {
      this.#checked = new TwoGenerationCache(REMEMBERED / 2);
    });
  }

  format(handle: string, secret: string): string {
    const bare = `${handle}.${secret}`;
    const key = this.#ring?.keysFor(this.#purpose)[0];
    return key === undefined ? bare : `${bare}.${macOf(key, bare).slice(0, MAC_LENGTH)}`;
  }

  /**
   * Verifies a token. Returns `undefined` for any text that is not exactly a token of this name.
   * Never throws. Its cost is linear in the text's length.
   */
  verify(text: string): VerifiedToken | undefined {
    const length = this.#ring === undefined ? BARE_LENGTH : MAC_TOKEN_LENGTH;
    if (text.length !== length) return undefined;
    const known = this.#checked.get(text);
    if (known !== undefined) return known;
    if (!TOKEN.test(text)) return undefined;
    const outdated = this.#checkMac(text);
    if (outdated === undefined) return undefined;
    const own = copied(text);
    const secret = own.slice(HANDLE_LENGTH + 1, BARE_LENGTH);
    const verified: VerifiedToken = {
      handle: own.slice(0, HANDLE_LENGTH),
      secret,
      secretHash: hashSecret(secret),
      outdated,
      touchDueAt: 0,
    };
    this.#checked.set(own, verified);
    return verified;
  }

  /** Returns whether an older key made the MAC; `undefined` if no key did. */
  #checkMac(text: string): boolean | undefined {
    if (this.#ring === undefined) return false;
    const bare = text.slice(0, BARE_LENGTH);
    const mac = Buffer.from(text.slice(BARE_LENGTH + 1), "latin1");
    let found: boolean | undefined;
    for (const [position, key] of this.#ring.keysFor(this.#purpose).entries()) {
      const expected = Buffer.from(macOf(key, bare).slice(0, MAC_LENGTH), "latin1");
      if (timingSafeEqual(mac, expected)) found ??= position > 0;
    }
    return found;
  }
}

/**
 * Caches results that are a pure function of a text, so that no entry is ever stale. When the young
 * generation is full, it replaces the old one. So lookups move nothing, and no entry stays forever.
 */
export class TwoGenerationCache<Result> {
  readonly #limit: number;
  #young = new Map<string, Result>();
  #old = new Map<string, Result>();
  #weight = 0;

  /** @param limit the weight of one generation */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(text: string): Result | undefined {
    return this.#young.get(text) ?? this.#old.get(text);
  }

  /** @param text no slice of a longer text, which it would keep in memory: see {@link copied} */
  set(text: string, result: Result, weight = 1): void {
    if (this.#weight + weight > this.#limit) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#weight = 0;
    }
    this.#young.set(text, result);
    this.#weight += weight;
  }
}

/** Returns a copy of an ASCII text that shares no memory with a longer one. */
export function copied(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
