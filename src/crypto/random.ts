import { randomFillSync } from "node:crypto";

/** Fills a buffer with bytes that nobody can predict. */
export type RandomFill = (buffer: Buffer) => unknown;

const POOL_BYTES = 4096;

/** The system's generator, drawn from in blocks, because each call of it costs microseconds. What was taken is wiped, and never given again. */
export class RandomPool {
  readonly #fill: RandomFill;
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #used = POOL_BYTES;

  constructor(fill: RandomFill = randomFillSync) {
    this.#fill = fill;
  }

  /** Fresh bytes as base64url. */
  text(bytes: number): string {
    const start = this.#reserve(bytes);
    const text = this.#pool.toString("base64url", start, this.#used);
    this.#pool.fill(0, start, this.#used);
    return text;
  }

  /** Fills a small buffer. */
  fill(target: Buffer): void {
    const start = this.#reserve(target.length);
    this.#pool.copy(target, 0, start, this.#used);
    this.#pool.fill(0, start, this.#used);
  }

  #reserve(bytes: number): number {
    if (this.#used + bytes > POOL_BYTES) {
      // If the generator fails, this throws and nothing of the old pool is used again (CVE-2025-66565).
      this.#fill(this.#pool);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += bytes;
    return start;
  }
}
