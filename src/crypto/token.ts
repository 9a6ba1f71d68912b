import { hash, type KeyObject, timingSafeEqual } from "node:crypto";
import { type KeyRing, macOf } from "./key-ring.ts";
import { type RandomFill, RandomPool } from "./random.ts";

/**
 * Tokens: `handle.secret`, plus `.mac` where the application configured a key.
 *
 * The handle (128 bits) names the session and opens nothing; the secret (192 bits) is known to the browser alone, a store
 * keeps its SHA-256. The MAC is a gate in front of the store: without the key nobody can make a token that reaches it, not even
 * with write access to the store. OWASP ASVS 7.2.3 asks for 128 bits of entropy.
 */
const HANDLE_BYTES = 16;
const SECRET_BYTES = 24;
const HANDLE_LENGTH = 22;
const SECRET_LENGTH = 32;
/** 132 bits, the first 22 characters of the MAC. */
const MAC_LENGTH = 22;
const BARE_LENGTH = HANDLE_LENGTH + 1 + SECRET_LENGTH;
const MAC_TOKEN_LENGTH = BARE_LENGTH + 1 + MAC_LENGTH;

/** The 16 bytes of a handle leave four unused bits in its last character; the canonical form has them zero. */
const HANDLE = /^[A-Za-z0-9_-]{21}[AQgw]$/;
const TOKEN = /^[A-Za-z0-9_-]{21}[AQgw]\.[A-Za-z0-9_-]{32}(?:\.[A-Za-z0-9_-]{22})?$/;

export function isHandle(text: string): boolean {
  return HANDLE.test(text);
}

/** A source of handles and secrets. */
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

/** A token whose form and MAC are right. Whether it opens a session is for the store's record to say. */
export interface VerifiedToken {
  handle: string;
  secret: string;
  secretHash: string;
  /** Whether another key than the first made its MAC, so that it should be sent anew. */
  outdated: boolean;
  /** What the record may hold of the secret, by each key, if it is this user's. The backend sets it. */
  owner?: { userId: string; createdAt: number; hashes: readonly string[] };
  /** Which session replaced this token's, `false` for none; absent while nobody has looked. The backend sets it. */
  rotated?: { readonly handle: string | undefined; readonly until: number } | false;
  /** Epoch milliseconds: until then, a request that doesn't read its session has no use to store. The backend sets it. */
  touchDueAt: number;
}

/** What a store keeps of a secret. */
export function hashSecret(secret: string): string {
  return hash("sha256", secret, "base64url");
}

/** A handle that no session has, made of what it is for: nobody can tell that from it without guessing. */
export function derivedHandle(purpose: string): string {
  return Buffer.from(hashSecret(purpose), "base64url").toString("base64url", 0, HANDLE_BYTES);
}

const HASH_LENGTH = 43;

/** Whether a record's hash is that of a secret, as only sessions and what belongs to one have it. */
export function isSecretHash(text: string): boolean {
  return text.length === HASH_LENGTH;
}

const [LEFT, RIGHT] = [Buffer.alloc(HASH_LENGTH), Buffer.alloc(HASH_LENGTH)];

/** Compares two of `hashSecret` in a time that tells nothing about where they differ; `false` for any other texts. */
export function sameHash(a: string, b: string): boolean {
  if (a.length !== HASH_LENGTH || b.length !== HASH_LENGTH) return false;
  LEFT.write(a, "latin1");
  RIGHT.write(b, "latin1");
  return timingSafeEqual(LEFT, RIGHT);
}

/** How many checked tokens are remembered, so that a visitor's next request needs no MAC and no hash. */
const REMEMBERED = 10_000;

/**
 * Writes and checks the tokens of one name: a cookie's name is part of what its MAC covers, so that a token never works
 * under another name.
 */
export class TokenCodec {
  readonly #keys: readonly KeyObject[] | undefined;
  /** Only texts that passed every check are in here. */
  readonly #checked = new TwoGenerationCache<VerifiedToken>(REMEMBERED / 2);

  constructor(ring: KeyRing | undefined, name: string) {
    this.#keys = ring?.keysFor(`token|${name}`);
  }

  format(handle: string, secret: string): string {
    const bare = `${handle}.${secret}`;
    const key = this.#keys?.[0];
    return key === undefined ? bare : `${bare}.${macOf(key, bare).slice(0, MAC_LENGTH)}`;
  }

  /** `undefined` for whatever is not exactly a token of this name. Never throws, and never costs more than the text is long. */
  verify(text: string): VerifiedToken | undefined {
    const length = this.#keys === undefined ? BARE_LENGTH : MAC_TOKEN_LENGTH;
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

  /** Whether the MAC is of an older key; `undefined` if it is of none. */
  #checkMac(text: string): boolean | undefined {
    if (this.#keys === undefined) return false;
    const bare = text.slice(0, BARE_LENGTH);
    const mac = Buffer.from(text.slice(BARE_LENGTH + 1), "latin1");
    let found: boolean | undefined;
    for (const [position, key] of this.#keys.entries()) {
      const expected = Buffer.from(macOf(key, bare).slice(0, MAC_LENGTH), "latin1");
      if (timingSafeEqual(mac, expected)) found ??= position > 0;
    }
    return found;
  }
}

/**
 * A cache of results that are a pure function of a text, so that nothing in it is ever stale. It has two generations: when the young one
 * is full it becomes the old one, and the old one is dropped. So a lookup moves nothing, and nothing is kept for ever.
 */
export class TwoGenerationCache<Result> {
  readonly #limit: number;
  #young = new Map<string, Result>();
  #old = new Map<string, Result>();
  #weight = 0;

  /** @param limit the weight of a generation */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(text: string): Result | undefined {
    return this.#young.get(text) ?? this.#old.get(text);
  }

  /** @param text not a slice of a longer one, which would stay in memory as a whole: see {@link copied} */
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

/** Returns the same ASCII text in memory of its own. */
export function copied(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
