import { createHmac, createSecretKey, hash, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * What the limit sketches share: the least that a session in a cookie takes, in the fastest way that Node has for it. No options, no events, no
 * merge, no error but "there is none". They say how close the library is to what is possible, and are no libraries themselves.
 */
export const LIFETIME_MS = 30 * 60_000;

const NAME = "sid=";

/** The value of the cookie. */
export function readCookie(req: IncomingMessage): string | undefined {
  const header = req.headers.cookie;
  if (header === undefined) return undefined;
  let start = header.indexOf(NAME);
  // The name may be the end of another one.
  while (start > 0 && header[start - 1] !== " " && header[start - 1] !== ";") start = header.indexOf(NAME, start + 1);
  if (start < 0) return undefined;
  const end = header.indexOf(";", start);
  return header.slice(start + NAME.length, end < 0 ? undefined : end);
}

/** A new token, and what a correct answer that brings one needs for caches (RFC 9111). */
export function sendCookie(res: ServerResponse, token: string): void {
  res.setHeader("Cache-Control", "no-store");
  res.setHeader("Set-Cookie", `${NAME}${token}; Path=/; HttpOnly; SameSite=Lax`);
}

/** An answer that depends on a cookie says so. */
export function vary(res: ServerResponse): void {
  res.setHeader("Vary", "Cookie");
}

/** Of tokens that are remembered. */
const MOST_CHECKED = 10_000;
const POOL_BYTES = 8_192;
let pool = Buffer.alloc(0);
let used = 0;

/** Random bytes, many of them made at once. */
export function random(bytes: number): Buffer {
  if (used + bytes > pool.length) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  used += bytes;
  return pool.subarray(used - bytes, used);
}

interface Verified {
  handle: string;
  /** The hash that the record has to have. */
  secretHash: string;
}

/** Tokens of a handle and a secret, with a MAC. */
export class Tokens {
  readonly #key = createSecretKey(randomBytes(32));
  readonly #checked: Map<string, Verified> | undefined;

  /** @param remembers whether a token is checked once only, as Sojourn does */
  constructor({ remembers = false }: { remembers?: boolean } = {}) {
    this.#checked = remembers ? new Map() : undefined;
  }

  make(): Verified & { token: string } {
    const handle = random(16).toString("base64url");
    const secret = random(24).toString("base64url");
    const signed = `${handle}.${secret}`;
    return {
      token: `${signed}.${this.#mac(signed)}`,
      handle,
      secretHash: hash("sha256", secret),
    };
  }

  verify(token: string): Verified | undefined {
    const known = this.#checked?.get(token);
    if (known !== undefined) return known;
    const verified = this.#check(token);
    if (verified !== undefined && this.#checked !== undefined) {
      if (this.#checked.size >= MOST_CHECKED) this.#checked.clear();
      this.#checked.set(token, verified);
    }
    return verified;
  }

  #check(token: string): Verified | undefined {
    const end = token.lastIndexOf(".");
    if (!isSame(token.slice(end + 1), this.#mac(token.slice(0, end)))) return undefined;
    const middle = token.indexOf(".");
    return { handle: token.slice(0, middle), secretHash: hash("sha256", token.slice(middle + 1, end)) };
  }

  /** As Node has it, and as text: a Buffer would cost a microsecond more. (Two one-shot hashes, HMAC by its definition, take less.) */
  #mac(text: string): string {
    return createHmac("sha256", this.#key).update(text).digest("base64url");
  }
}

/** In a time that depends on the length only. */
function isSame(left: string, right: string): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let i = 0; i < left.length; i++) difference |= left.charCodeAt(i) ^ right.charCodeAt(i);
  return difference === 0;
}

/** A session as a sketch's handlers see it. */
export interface Sketch {
  get(name: string): unknown;
  all(): Record<string, unknown>;
  set(values: Readonly<Record<string, unknown>>): void;
  /** Compares with what is stored, and writes if that is another. */
  commit(): void;
  /** A new session with nothing in it, in the place of this one. */
  renew(): void;
  end(): void;
}
