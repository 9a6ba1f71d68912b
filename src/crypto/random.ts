import { randomFillSync } from "node:crypto";

/** Fills a buffer with unpredictable bytes. */
export type RandomFill = (buffer: Buffer) => unknown;

const POOL_BYTES = 4096;

/**
 * Draws from the system's generator in blocks, because each call costs microseconds. Wipes the
 * bytes that it returns, and never returns them again.
 */
export class RandomPool {
  readonly #fill: RandomFill;
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #used = POOL_BYTES;

  constructor(fill: RandomFill = randomFillSync) {
    this.#fill = fill;
  }

  /** Returns random bytes as base64url. */
  text(bytes: number): string {
    const start = this.#reserve(bytes);
    const text = this.#pool.toString("base64url", start, this.#used);
    this.#pool.fill(0, start, this.#used);
    return text;
  }

  /** Fills a small buffer with random bytes. */
  fill(target: Buffer): void {
    const start = this.#reserve(target.length);
    this.#pool.copy(target, 0, start, this.#used);
    this.#pool.fill(0, start, this.#used);
  }

  #reserve(bytes: number): number {
    if (this.#used + bytes > POOL_BYTES) {
      // If the generator fails, this throws before any byte of the old pool is reused
      // (CVE-2025-66565).
      this.#fill(this.#pool);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += bytes;
    return start;
  }
}

/** Makes the bytes of a new key: 256 random bits. */
export function newKey(fill: RandomFill = randomFillSync): Buffer {
  const key = Buffer.alloc(32);
  fill(key);
  return key;
}
