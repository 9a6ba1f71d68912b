import { NONE, Rows } from "./rows.ts";

const LEAST_BUCKETS = 16;

/**
 * Slots by a hash of what they stand for. There are as many buckets as slots, and a bucket is a chain of slots.
 *
 * Linear hashing (Litwin 1980): with each slot that is added beyond the number of buckets one bucket is split in two. So nothing
 * is ever rehashed as a whole, and no operation pauses for the size of the table.
 */
export class Chains {
  readonly #heads = new Rows(1);
  readonly #rows: Rows;
  /** The word of a row that links a slot to the next of its chain, and the one that has its hash. */
  readonly #next: number;
  readonly #hash: number;
  #buckets = LEAST_BUCKETS;
  #size = 0;
  /** How many slots were moved from one bucket to another so far. */
  moved = 0;

  /**
   * @param next the word of a row that is the chain's
   * @param hash the one that has the slot's hash, from before it is added until it was removed
   */
  constructor(rows: Rows, next: number, hash: number) {
    this.#rows = rows;
    this.#next = next;
    this.#hash = hash;
  }

  /** The first slot that may be meant; then ask for what is `after` it. */
  first(hash: number): number {
    return this.#heads.integer(this.#bucketOf(hash), 0);
  }

  after(slot: number): number {
    return this.#rows.integer(slot, this.#next);
  }

  add(slot: number): void {
    this.#push(this.#bucketOf(this.#rows.integer(slot, this.#hash)), slot);
    this.#size++;
    if (this.#size > this.#buckets) this.#split();
  }

  remove(slot: number): void {
    const bucket = this.#bucketOf(this.#rows.integer(slot, this.#hash));
    let at = this.#heads.integer(bucket, 0);
    const next = this.#rows.integer(slot, this.#next);
    this.#size--;
    if (at === slot) {
      this.#heads.setInteger(bucket, 0, next);
      return;
    }
    while (this.#rows.integer(at, this.#next) !== slot) at = this.#rows.integer(at, this.#next);
    this.#rows.setInteger(at, this.#next, next);
  }

  /** Forgets all slots, a bucket at a time as they come into use again. */
  clear(): void {
    for (let bucket = 0; bucket < LEAST_BUCKETS; bucket++) this.#heads.setInteger(bucket, 0, NONE);
    this.#buckets = LEAST_BUCKETS;
    this.#size = 0;
  }

  /** By the hash's lowest bits: one more of them for buckets that were split already. */
  #bucketOf(hash: number): number {
    const bits = 31 - Math.clz32(this.#buckets);
    const bucket = hash & ((2 << bits) - 1);
    return bucket < this.#buckets ? bucket : bucket & ((1 << bits) - 1);
  }

  #push(bucket: number, slot: number): void {
    this.#rows.setInteger(slot, this.#next, this.#heads.integer(bucket, 0));
    this.#heads.setInteger(bucket, 0, slot);
  }

  #split(): void {
    const added = this.#buckets++;
    const bucket = added - (1 << (31 - Math.clz32(added)));
    let slot = this.#heads.integer(bucket, 0);
    this.#heads.setInteger(bucket, 0, NONE);
    this.#heads.setInteger(added, 0, NONE);
    while (slot !== NONE) {
      const next = this.#rows.integer(slot, this.#next);
      const to = this.#bucketOf(this.#rows.integer(slot, this.#hash));
      if (to !== bucket) this.moved++;
      this.#push(to, slot);
      slot = next;
    }
  }
}
