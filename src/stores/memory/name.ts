import type { Chunk } from "./arena.ts";
import { isWide, readText, writeText } from "./text.ts";

/**
 * How a name is stored: the 16 bytes of one of our handles, or the 32 of a hash, which are a third shorter than their base64url;
 * or the length and the characters of any other.
 */
export type NameKind = typeof HANDLE | typeof HASH | typeof NARROW | typeof WIDE;
const HANDLE = 0;
const HASH = 1;
const NARROW = 2;
const WIDE = 3;
/** Bits of a kind. */
export const KIND_BITS = 2;

const HANDLE_CHARACTERS = 22;
const HASH_CHARACTERS = 43;

/** A longer text is no name. */
const LONGEST_NAME = 4_096;

/** Whether all of these are short enough for names. */
export function areNames(...texts: (string | null)[]): boolean {
  return texts.every((text) => text === null || text.length <= LONGEST_NAME);
}

/**
 * A name (a handle, a hash, a user's ID) in 32-bit words, to be compared, hashed and stored. One of these is enough for
 * many names, one after the other.
 */
export class Name {
  readonly #words = new Int32Array(1 + LONGEST_NAME / 2);
  readonly #bytes = Buffer.from(this.#words.buffer);
  kind: NameKind = NARROW;
  /** How many words it takes. */
  length = 0;

  /** @returns whether the text is short enough for a name */
  set(text: string): boolean {
    const characters = text.length;
    if (characters === HANDLE_CHARACTERS || characters === HASH_CHARACTERS) {
      if (this.#decode(text)) return true;
    }
    if (characters > LONGEST_NAME) return false;
    const wide = isWide(text);
    const bytes = wide ? 2 * characters : characters;
    this.kind = wide ? WIDE : NARROW;
    this.length = wordsOf(bytes);
    this.#words[this.length - 1] = 0;
    this.#words[0] = bytes;
    writeText(this.#bytes, wide, text, 4);
    return true;
  }

  isAt({ words }: Chunk, at: number): boolean {
    for (let word = 0; word < this.length; word++) if (this.#words[word] !== words[at + word]) return false;
    return true;
  }

  writeTo({ words }: Chunk, at: number): void {
    for (let word = 0; word < this.length; word++) words[at + word] = this.#words[word] ?? 0;
  }

  /** @param seed so that nobody can choose names of one hash */
  hash(seed: number): number {
    return hashOf(this.#words, this.length, seed);
  }

  /** `false` for anything but the one way to write 16 or 32 bytes. */
  #decode(text: string): boolean {
    const characters = text.length;
    const bytes = this.#bytes;
    let invalid = 0;
    let at = 0;
    let character = 0;
    for (; character + 4 <= characters; character += 4) {
      const a = valueAt(text, character);
      const b = valueAt(text, character + 1);
      const c = valueAt(text, character + 2);
      const d = valueAt(text, character + 3);
      invalid |= a | b | c | d;
      bytes[at] = (a << 2) | (b >>> 4);
      bytes[at + 1] = (b << 4) | (c >>> 2);
      bytes[at + 2] = (c << 6) | d;
      at += 3;
    }
    const a = valueAt(text, character);
    const b = valueAt(text, character + 1);
    bytes[at] = (a << 2) | (b >>> 4);
    if (characters === HANDLE_CHARACTERS) {
      // The last bits of the last character stand for nothing, so there is but one name for these bytes.
      invalid |= a | b | ((b & 15) << 6);
      this.kind = HANDLE;
      this.length = 4;
    } else {
      const c = valueAt(text, character + 2);
      invalid |= a | b | c | ((c & 3) << 6);
      bytes[at + 1] = (b << 4) | (c >>> 2);
      this.kind = HASH;
      this.length = 8;
    }
    return invalid < 64;
  }
}

/** How many words the name takes that is stored here. */
export function storedWords({ words }: Chunk, at: number, kind: number): number {
  if (kind === HANDLE) return 4;
  if (kind === HASH) return 8;
  return wordsOf(words[at] ?? 0);
}

export function storedText(chunk: Chunk, at: number, kind: number): string {
  const from = at * 4;
  if (kind === HANDLE) return chunk.bytes.toString("base64url", from, from + 16);
  if (kind === HASH) return chunk.bytes.toString("base64url", from, from + 32);
  return readText(chunk.bytes, kind === WIDE, from + 4, from + 4 + (chunk.words[at] ?? 0));
}

/** How many bytes the text of a name counts for; see `bytesOf`. */
export function storedBytes({ words }: Chunk, at: number, kind: number): number {
  if (kind === HANDLE) return HANDLE_CHARACTERS;
  if (kind === HASH) return HASH_CHARACTERS;
  return words[at] ?? 0;
}

function wordsOf(bytes: number): number {
  return 1 + ((bytes + 3) >>> 2);
}

/** MurmurHash3 of 32-bit words (Appleby 2011). */
function hashOf(words: Int32Array, length: number, seed: number): number {
  let hash = seed;
  for (let word = 0; word < length; word++) {
    const mixed = Math.imul(words[word] ?? 0, 0xcc9e2d51);
    hash ^= Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const INVALID = 255;
const VALUES = new Uint8Array(128).fill(INVALID);
for (let value = 0; value < ALPHABET.length; value++) VALUES[ALPHABET.charCodeAt(value)] = value;

function valueAt(text: string, at: number): number {
  return VALUES[text.charCodeAt(at)] ?? INVALID;
}
