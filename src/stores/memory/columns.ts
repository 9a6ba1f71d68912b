/**
 * Columns of a table whose rows are numbered slots. An object with three times and six links costs a session 240
 * bytes and the garbage collector ten more things to visit; the same in columns is 56 bytes that it never looks at.
 *
 * Columns grow page by page: nothing is ever copied, so no operation pauses for the size of the store.
 */

const PAGE_BITS = 10;
const PAGE = 1 << PAGE_BITS;
const WITHIN = PAGE - 1;

/** A few numbers for each slot, side by side, 0 until set. */
export class Numbers {
  readonly #width: number;
  readonly #pages: Float64Array[] = [];

  constructor(width: number) {
    this.#width = width;
  }

  get(slot: number, column: number): number {
    return this.#pages[slot >>> PAGE_BITS]?.[(slot & WITHIN) * this.#width + column] ?? 0;
  }

  set(slot: number, column: number, value: number): void {
    let page = this.#pages[slot >>> PAGE_BITS];
    if (page === undefined) {
      page = new Float64Array(PAGE * this.#width);
      this.#pages[slot >>> PAGE_BITS] = page;
    }
    page[(slot & WITHIN) * this.#width + column] = value;
  }
}

/** A few texts for each slot, side by side, `null` until set. */
export class Texts {
  readonly #width: number;
  readonly #pages: (string | null)[][] = [];

  constructor(width: number) {
    this.#width = width;
  }

  get(slot: number, column: number): string | null {
    return this.#pages[slot >>> PAGE_BITS]?.[(slot & WITHIN) * this.#width + column] ?? null;
  }

  set(slot: number, column: number, value: string | null): void {
    let page = this.#pages[slot >>> PAGE_BITS];
    if (page === undefined) {
      page = new Array<string | null>(PAGE * this.#width).fill(null);
      this.#pages[slot >>> PAGE_BITS] = page;
    }
    page[(slot & WITHIN) * this.#width + column] = value;
  }
}

/** No slot. */
export const NONE = -1;

/**
 * Circular lists of slots, each slot in one list at most. A list is known by its first slot, `NONE` when empty;
 * both ends are one step away.
 */
export class Rings {
  readonly #pages: Int32Array[] = [];

  next(slot: number): number {
    return this.#page(slot)[(slot & WITHIN) << 1] ?? NONE;
  }

  #previous(slot: number): number {
    return this.#page(slot)[((slot & WITHIN) << 1) | 1] ?? NONE;
  }

  #join(slot: number, next: number): void {
    this.#page(slot)[(slot & WITHIN) << 1] = next;
    this.#page(next)[((next & WITHIN) << 1) | 1] = slot;
  }

  /** Puts a slot at the end; returns the first slot of the list. */
  append(first: number, slot: number): number {
    if (first === NONE) {
      this.#join(slot, slot);
      return slot;
    }
    this.#join(this.#previous(first), slot);
    this.#join(slot, first);
    return first;
  }

  /** Takes a slot out; returns the first slot of what is left. */
  remove(first: number, slot: number): number {
    const next = this.next(slot);
    if (next === slot) return NONE;
    this.#join(this.#previous(slot), next);
    return first === slot ? next : first;
  }

  /** The slots of a list, first to last. The list must not change meanwhile. */
  *slots(first: number): Generator<number> {
    if (first === NONE) return;
    let slot = first;
    do {
      yield slot;
      slot = this.next(slot);
    } while (slot !== first);
  }

  #page(slot: number): Int32Array {
    const page = this.#pages[slot >>> PAGE_BITS];
    if (page !== undefined) return page;
    const created = new Int32Array(2 * PAGE);
    this.#pages[slot >>> PAGE_BITS] = created;
    return created;
  }
}
