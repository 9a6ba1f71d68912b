import type { KeyRing } from "./key-ring.ts";
import { type RandomFill, RandomPool } from "./random.ts";
import { NONCE_BYTES, TAG_BYTES, Xaes } from "./xaes.ts";

/**
 * Seals, format 1: text that only the holder of a key can read or make.
 *
 *     base64url( version[1] = 1 | key ID[4] | nonce[24] | ciphertext | tag[16] ), unpadded
 *     plaintext:  length u32 | body | zeros up to a multiple of 32
 *     additional: "sojourn" 0 | version | key ID |
 *                 for each of purpose, name, namespace, bindings: length u32, UTF-8
 *
 * The purpose, the name and the other bindings are authenticated but not stored, so a seal made for
 * one use opens for no other. Only the version and the key ID are readable. The length reveals the
 * body's length to 32 bytes.
 */
const VERSION = 1;
const KEY_ID_BYTES = 4;
const NONCE_AT = 1 + KEY_ID_BYTES;
const HEAD_BYTES = NONCE_AT + NONCE_BYTES;
const LENGTH_BYTES = 4;
const BUCKET = 32;
/** The first character that depends on the nonce alone, and the first after those. */
const NAME_FROM = Math.ceil((NONCE_AT * 8) / 6);
const NAME_TO = Math.floor((HEAD_BYTES * 8) / 6);
const MAGIC = Buffer.from("sojourn\0", "latin1");

/** What a seal is for. A seal of one purpose, name or namespace never opens as another's. */
export interface SealUse {
  purpose: "cookie" | "store" | "url" | "keys";
  name: string;
  namespace?: string;
}

export interface Unsealed {
  body: Buffer;
  /** Whether an older key sealed it, so that it should be sealed again. */
  outdated: boolean;
}

interface SealKey {
  id: number;
  cipher: Xaes;
  /** The additional data that all seals of this key and use share. */
  additional: Buffer;
}

/** Seals and opens for one use. The first key of the ring seals, and all keys open. */
export class Sealer {
  readonly #ring: KeyRing;
  readonly #purpose: string;
  readonly #use: readonly Buffer[];
  readonly #random: RandomPool;
  #made: readonly SealKey[] | undefined = undefined;

  constructor(ring: KeyRing, { purpose, name, namespace = "" }: SealUse, random?: RandomFill) {
    this.#ring = ring;
    this.#purpose = purpose;
    this.#use = [purpose, name, namespace].map(counted);
    this.#random = new RandomPool(random);
    ring.onReplace(() => {
      this.#made = undefined;
    });
  }

  /** Calls `forget` when the keys change: what was opened may open no more, or be outdated. */
  onReplace(forget: () => void): void {
    this.#ring.onReplace(forget);
  }

  get #keys(): readonly SealKey[] {
    this.#made ??= this.#makeKeys();
    return this.#made;
  }

  #makeKeys(): readonly SealKey[] {
    return this.#ring.keysFor(`seal|${this.#purpose}`).map((key, position) => {
      const id = this.#ring.keyId(position);
      const additional = Buffer.concat([MAGIC, Buffer.of(VERSION), id, ...this.#use]);
      return { id: id.readUInt32BE(), cipher: new Xaes(key), additional };
    });
  }

  /** Seals a body. @param bindings what the seal belongs to; `open` needs the same */
  seal(body: Buffer, bindings: readonly string[] = []): string {
    const key = this.#keys[0];
    if (key === undefined) throw new TypeError("a key ring has at least one key");
    const plaintext = Buffer.allocUnsafe(padded(LENGTH_BYTES + body.length));
    plaintext.writeUInt32BE(body.length);
    plaintext.fill(0, LENGTH_BYTES + body.copy(plaintext, LENGTH_BYTES));
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head[0] = VERSION;
    head.writeUInt32BE(key.id, 1);
    const nonce = head.subarray(NONCE_AT);
    // If the generator fails, this throws and nothing is sealed (CVE-2025-66565).
    this.#random.fill(nonce);
    return key.cipher.encrypt(nonce, plaintext, bound(key, bindings), head).toString("base64url");
  }

  /**
   * Opens a seal. Returns `undefined` for any text that is no seal of this use and these bindings,
   * without a reason. Never throws. Its cost depends on the text's length alone.
   */
  open(text: string, bindings: readonly string[] = []): Unsealed | undefined {
    const bytes = Buffer.from(text, "base64url");
    // Node's decoder skips foreign characters and ignores unused bits. Only the text that it would
    // write is a seal.
    if (
      bytes.length < HEAD_BYTES + BUCKET + TAG_BYTES ||
      bytes[0] !== VERSION ||
      bytes.toString("base64url") !== text
    ) {
      return undefined;
    }
    const keys = this.#keys;
    const id = bytes.readUInt32BE(1);
    const nonce = bytes.subarray(NONCE_AT, HEAD_BYTES);
    const sealed = bytes.subarray(HEAD_BYTES);
    const named = keys.filter((key) => key.id === id);
    const isKnown = named.length > 0;
    // An unknown key costs as much as a wrong tag, and opens nothing.
    for (const key of isKnown ? named : keys.slice(0, 1)) {
      const body = unpadded(key.cipher.decrypt(nonce, sealed, bound(key, bindings)));
      if (body !== undefined && isKnown) return { body, outdated: key !== keys[0] };
    }
    return undefined;
  }
}

function bound({ additional }: SealKey, bindings: readonly string[]): Buffer {
  return bindings.length === 0 ? additional : Buffer.concat([additional, ...bindings.map(counted)]);
}

/** Returns 31 characters of a seal's nonce, which identify it: no two seals share them. */
export function sealName(text: string): string {
  return text.slice(NAME_FROM, NAME_TO);
}

/** Returns the length of a seal for a body of this size. */
export function sealLength(bodyBytes: number): number {
  return Math.ceil(((HEAD_BYTES + padded(LENGTH_BYTES + bodyBytes) + TAG_BYTES) * 4) / 3);
}

/** Returns the largest body whose seal has at most this many characters. */
export function sealRoom(characters: number): number {
  const plaintext = Math.floor((characters * 3) / 4) - HEAD_BYTES - TAG_BYTES;
  return Math.max(0, Math.floor(plaintext / BUCKET) * BUCKET - LENGTH_BYTES);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / BUCKET) * BUCKET;
}

/** Accepts only what `seal` writes: the shortest padding, all zeros. */
function unpadded(plaintext: Buffer | undefined): Buffer | undefined {
  if (plaintext === undefined) return undefined;
  const end = LENGTH_BYTES + plaintext.readUInt32BE();
  const { length } = plaintext;
  if (padded(end) !== length) return undefined;
  for (let at = end; at < length; at += 1) if (plaintext[at] !== 0) return undefined;
  return plaintext.subarray(LENGTH_BYTES, end);
}

/** Prefixes a text with its length, so that two different lists of texts never encode alike. */
function counted(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
