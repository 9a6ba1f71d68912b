/**
 * Columns of a table whose rows are numbered slots: numbers in memory that the garbage collector never looks at.
 *
 * A column grows page by page. Nothing is ever copied, so no operation pauses for the size of the store; and a page
 * is not given back, but used again.
 */

const PAGE_BITS = 12;
const PAGE = 1 << PAGE_BITS;
const WITHIN = PAGE - 1;

/** No slot. */
export const NONE = -1;

/**
 * Memory outside V8's heap, all zeros. It is shared, though with nobody: V8 counts what an `ArrayBuffer` takes as garbage
 * that might be, and collects the whole heap after every few dozen megabytes of it; of a `SharedArrayBuffer` it is not told.
 */
export function outsideHeap(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}

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
      page = new Float64Array(outsideHeap(PAGE * this.#width * 8));
      this.#pages[slot >>> PAGE_BITS] = page;
    }
    page[(slot & WITHIN) * this.#width + column] = value;
  }
}

/** A few small whole numbers, such as other slots, for each slot, side by side, `NONE` until set. */
export class Integers {
  readonly #width: number;
  /** The complement of each, so that zeros mean `NONE`. */
  readonly #pages: Int32Array[] = [];

  constructor(width: number) {
    this.#width = width;
  }

  get(slot: number, column: number): number {
    return ~(this.#pages[slot >>> PAGE_BITS]?.[(slot & WITHIN) * this.#width + column] ?? 0);
  }

  set(slot: number, column: number, value: number): void {
    let page = this.#pages[slot >>> PAGE_BITS];
    if (page === undefined) {
      page = new Int32Array(outsideHeap(PAGE * this.#width * 4));
      this.#pages[slot >>> PAGE_BITS] = page;
    }
    page[(slot & WITHIN) * this.#width + column] = ~value;
  }
}

/** A text for each of a few slots, `undefined` until set. The one column on V8's heap. */
export class Texts {
  readonly #pages: (string | undefined)[][] = [];

  get(slot: number): string | undefined {
    return this.#pages[slot >>> PAGE_BITS]?.[slot & WITHIN];
  }

  set(slot: number, value: string | undefined): void {
    let page = this.#pages[slot >>> PAGE_BITS];
    if (page === undefined) {
      if (value === undefined) return;
      page = new Array<string | undefined>(PAGE).fill(undefined);
      this.#pages[slot >>> PAGE_BITS] = page;
    }
    page[slot & WITHIN] = value;
  }

  clear(): void {
    this.#pages.length = 0;
  }
}

const NEXT = 0;
const PREVIOUS = 1;

/**
 * Circular lists of slots, each slot in one list at most. A list is known by its first slot, `NONE` when empty;
 * both ends are one step away.
 */
export class Rings {
  readonly #links = new Integers(2);

  next(slot: number): number {
    return this.#links.get(slot, NEXT);
  }

  previous(slot: number): number {
    return this.#links.get(slot, PREVIOUS);
  }

  #join(slot: number, next: number): void {
    this.#links.set(slot, NEXT, next);
    this.#links.set(next, PREVIOUS, slot);
  }

  /** Puts a slot at the end; returns the first slot of the list. */
  append(first: number, slot: number): number {
    if (first === NONE) this.#join(slot, slot);
    else this.insertBefore(first, slot);
    return first === NONE ? slot : first;
  }

  insertBefore(next: number, slot: number): void {
    this.#join(this.previous(next), slot);
    this.#join(slot, next);
  }

  /** Takes a slot out; returns the first slot of what is left. */
  remove(first: number, slot: number): number {
    const next = this.next(slot);
    if (next === slot) return NONE;
    this.#join(this.previous(slot), next);
    return first === slot ? next : first;
  }

  /** Makes one list of two, or two of one that holds both slots: the lists from `first` and from `second` on. */
  splice(first: number, second: number): void {
    const last = this.previous(first);
    this.#join(this.previous(second), first);
    this.#join(last, second);
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
}
