/**
 * The rows of a table, one for each slot: numbers in memory that the garbage collector never looks at.
 *
 * A table grows page by page. Nothing is ever copied, so no operation pauses for the size of the store; and a page
 * is not given back, but used again.
 */

const PAGE_BITS = 12;
const PAGE = 1 << PAGE_BITS;
const WITHIN = PAGE - 1;

/** No slot. */
export const NONE = -1;

/** The largest number there is room for; as a time, in the year 10889. */
export const LARGEST_NUMBER = 2 ** 48 - 1;
const WORD = 2 ** 32;
const HALF_BITS = 16;
const HALF = (1 << HALF_BITS) - 1;

/**
 * Memory outside V8's heap, all zeros. It is shared, though with nobody: V8 counts what an `ArrayBuffer` takes as garbage
 * that might be, and collects the whole heap after every few dozen megabytes of it; of a `SharedArrayBuffer` it is not told.
 */
export function outsideHeap(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}

/**
 * What is known of each slot, side by side, because one of it is seldom asked for alone: with a million slots each other place is a
 * wait for the memory. A row has so many 32-bit words.
 *
 * Three words, from a multiple of three on, can hold two numbers of 48 bits instead: the first two have their lower words, the third one
 * the rest of both. A number is known by its lower word.
 */
export class Rows {
  readonly #words: number;
  readonly #pages: Int32Array[] = [];

  constructor(words: number) {
    this.#words = words;
  }

  /** A small whole number, such as another slot; `NONE` until set. */
  integer(slot: number, word: number): number {
    // The complement is stored, so that zeros mean `NONE`.
    return ~(this.#pages[slot >>> PAGE_BITS]?.[(slot & WITHIN) * this.#words + word] ?? 0);
  }

  setInteger(slot: number, word: number, value: number): void {
    const page = this.#pages[slot >>> PAGE_BITS] ?? this.#addPage(slot);
    page[(slot & WITHIN) * this.#words + word] = ~value;
  }

  /** A whole number from 0 to `LARGEST_NUMBER`; 0 until set. */
  number(slot: number, word: number): number {
    const page = this.#pages[slot >>> PAGE_BITS];
    if (page === undefined) return 0;
    const at = (slot & WITHIN) * this.#words + word;
    const which = word % 3;
    const high = ((page[at + 2 - which] ?? 0) >>> (which * HALF_BITS)) & HALF;
    return high * WORD + ((page[at] ?? 0) >>> 0);
  }

  /** Sets it to the nearest one that is not larger than `value`, or to 0. */
  setNumber(slot: number, word: number, value: number): void {
    const page = this.#pages[slot >>> PAGE_BITS] ?? this.#addPage(slot);
    const whole = value > 0 ? Math.floor(Math.min(value, LARGEST_NUMBER)) : 0;
    const at = (slot & WITHIN) * this.#words + word;
    const which = word % 3;
    const rest = at + 2 - which;
    const shift = which * HALF_BITS;
    // An Int32Array keeps the lower word of what it is given.
    page[at] = whole;
    page[rest] = ((page[rest] ?? 0) & ~(HALF << shift)) | (Math.floor(whole / WORD) << shift);
  }

  #addPage(slot: number): Int32Array {
    const page = new Int32Array(outsideHeap(PAGE * this.#words * 4));
    this.#pages[slot >>> PAGE_BITS] = page;
    return page;
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

/**
 * Circular lists of slots, each slot in one list at most. A list is known by its first slot, `NONE` when empty;
 * both ends are one step away.
 */
export class Rings {
  readonly #rows: Rows;
  readonly #next: number;
  readonly #previous: number;

  /** @param word the first of two words of a row that are the list's */
  constructor(rows: Rows, word: number) {
    this.#rows = rows;
    this.#next = word;
    this.#previous = word + 1;
  }

  next(slot: number): number {
    return this.#rows.integer(slot, this.#next);
  }

  previous(slot: number): number {
    return this.#rows.integer(slot, this.#previous);
  }

  #join(slot: number, next: number): void {
    this.#rows.setInteger(slot, this.#next, next);
    this.#rows.setInteger(next, this.#previous, slot);
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
