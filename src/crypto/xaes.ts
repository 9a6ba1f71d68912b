import { type Cipheriv, createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";

/**
 * Implements XAES-256-GCM (C2SP) over Node's AES-256-GCM. Derives a message key from the key and
 * the first half of a 192-bit nonce, by NIST SP 800-108 in counter mode with CMAC. So random nonces
 * are safe for 2^80 messages of one key without counting them; NIST SP 800-38D allows plain GCM
 * 2^32.
 */
export const NONCE_BYTES = 24;
export const TAG_BYTES = 16;

const BLOCK = 16;
const DERIVED_HALF = 12;
const LABEL = 0x58;

/** Encrypts and decrypts with one key of XAES-256-GCM. */
export class Xaes {
  /**
   * Shared by all messages, because ECB of whole blocks keeps no state, and making a cipher costs
   * more than using it.
   */
  readonly #blocks: Cipheriv;
  /**
   * The start of each derivation: counter, label, zeros, and CMAC's first subkey (RFC 4493 2.3),
   * which depends on the key alone.
   */
  readonly #template: Buffer;
  readonly #input = Buffer.alloc(2 * BLOCK);

  /** @param key exactly 32 bytes */
  constructor(key: KeyObject) {
    this.#blocks = createCipheriv("aes-256-ecb", key, null).setAutoPadding(false);
    const subkey = doubled(this.#blocks.update(Buffer.alloc(BLOCK)));
    this.#template = Buffer.concat([subkey, subkey]);
    for (const half of [0, 1]) {
      const at = half * BLOCK;
      this.#template[at + 1] = (subkey[1] ?? 0) ^ (half + 1);
      this.#template[at + 2] = (subkey[2] ?? 0) ^ LABEL;
    }
  }

  /**
   * Returns `head`, unencrypted, then the ciphertext and the tag. The nonce must be unpredictable,
   * and used once.
   */
  encrypt(nonce: Buffer, plaintext: Buffer, additional: Buffer, head?: Buffer): Buffer {
    return gcmEncrypt(this.#messageKey(nonce), nonce.subarray(DERIVED_HALF), plaintext, additional, head);
  }

  /** Returns the plaintext; `undefined` unless this key, nonce and additional data encrypted it. */
  decrypt(nonce: Buffer, sealed: Buffer, additional: Buffer): Buffer | undefined {
    if (sealed.length < TAG_BYTES || nonce.length !== NONCE_BYTES) return undefined;
    return gcmDecrypt(this.#messageKey(nonce), nonce.subarray(DERIVED_HALF), sealed, additional);
  }

  /** Returns a `KeyObject`, because Node uses a Buffer several times slower. */
  #messageKey(nonce: Buffer): KeyObject {
    const input = this.#input;
    const template = this.#template;
    template.copy(input);
    for (let i = 0; i < DERIVED_HALF; i += 1) {
      const at = BLOCK - DERIVED_HALF + i;
      const byte = nonce[i] ?? 0;
      input[at] = (template[at] ?? 0) ^ byte;
      input[at + BLOCK] = (template[at + BLOCK] ?? 0) ^ byte;
    }
    const bytes = this.#blocks.update(input);
    const key = createSecretKey(bytes);
    bytes.fill(0);
    return key;
  }
}

const NO_HEAD = Buffer.alloc(0);

/**
 * Encrypts by AES-256-GCM. Returns `head`, the ciphertext and the 16-byte tag.
 * @param iv 12 bytes, never used twice with one key
 */
export function gcmEncrypt(
  key: KeyObject,
  iv: Buffer,
  plaintext: Buffer,
  additional: Buffer,
  head: Buffer = NO_HEAD,
): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(additional);
  return Buffer.concat([head, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** Returns `undefined` for text that this key did not encrypt. @param sealed at least 16 bytes */
export function gcmDecrypt(key: KeyObject, iv: Buffer, sealed: Buffer, additional: Buffer): Buffer | undefined {
  const end = sealed.length - TAG_BYTES;
  // Without authTagLength Node accepts tags of 4 bytes, which can be guessed.
  const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(additional);
  decipher.setAuthTag(sealed.subarray(end));
  const plaintext = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plaintext;
}

/** Doubles a block in the field of 2^128 elements (RFC 4493), without branches on the key. */
function doubled(block: Buffer): Buffer {
  const twice = Buffer.alloc(BLOCK);
  for (let i = 0; i < BLOCK; i += 1) twice[i] = ((block[i] ?? 0) << 1) | ((block[i + 1] ?? 0) >> 7);
  twice[BLOCK - 1] = (twice[BLOCK - 1] ?? 0) ^ (0x87 & -((block[0] ?? 0) >> 7));
  return twice;
}
