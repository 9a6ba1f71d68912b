import { NONE, outsideHeap } from "./rows.ts";

/*
 * Where the bytes of sessions lie: blocks of any size, outside V8's heap. The garbage collector neither visits nor moves
 * them, and taking or giving back one costs the same however many there are.
 *
 * This is the two-level segregated fit of Masmano, Ripoll, Crespo and Real (2004): free blocks are listed by size class, a bitmap
 * says which lists hold one, and a block that becomes free is joined with free neighbours at once.
 *
 * Memory is cut into chunks, a chunk into blocks. In 32-bit words:
 *
 *     used block   header, content …
 *     free block   header, next of its list, previous of its list, …, how many words it has
 *
 * A place is the number of a block's first word in all chunks, so that there is room for 8 GiB.
 */

const WORD_BYTES = 4;
/** 1 MiB, of which an operating system gives what is written to. */
const CHUNK_BITS = 18;
const CHUNK_WORDS = 1 << CHUNK_BITS;
const WITHIN = CHUNK_WORDS - 1;
/** A free block needs four. */
const LEAST_WORDS = 4;

/** Of a header: the words of the block; how many of its bytes are beyond the content; flags; and what the owner notes. */
const WORDS = 0x7ffff;
const SPARE_SHIFT = 19;
const SPARE = 31 << SPARE_SHIFT;
const FREE = 1 << 24;
const AFTER_FREE = 1 << 25;
const TAG_SHIFT = 26;

/** How many classes each power of two is cut into: a block is at most a 32nd larger than the least of its class. */
const SUB_BITS = 5;
const SUBS = 1 << SUB_BITS;

/** The largest content of a block, in bytes. */
export const LARGEST = (CHUNK_WORDS - 1) * WORD_BYTES;

/** A part of the memory; blocks know their place in it. */
export interface Chunk {
  readonly words: Int32Array;
  /** The same bytes. */
  readonly bytes: Buffer;
}

export class Arena {
  readonly #chunks: Chunk[] = [];
  /** The first free block of each class, or `NONE`. */
  readonly #free = new Int32Array((CHUNK_BITS - SUB_BITS + 2) * SUBS).fill(NONE);
  /** Which powers of two have a free block, and which classes of each. */
  #powers = 0;
  readonly #subs = new Int32Array(CHUNK_BITS - SUB_BITS + 2);

  /** All memory taken so far, in bytes. It is kept for what comes. */
  get size(): number {
    return this.#chunks.length * CHUNK_WORDS * WORD_BYTES;
  }

  /**
   * A new block; its content is whatever was there before.
   * @param bytes of content, at most `LARGEST`
   * @param tag 6 bits, for the owner
   */
  allocate(bytes: number, tag: number): number {
    const size = sizeFor(bytes);
    let place = this.#find(size);
    if (place === NONE) {
      this.#addChunk();
      place = this.#find(size);
    }
    const chunk = this.chunk(place);
    const at = wordOf(place);
    this.#unlist(chunk, place, at);
    const found = header(chunk, at) & WORDS;
    const left = found - size;
    const taken = left < LEAST_WORDS ? found : size;
    if (left >= LEAST_WORDS) this.#list(chunk, place + size, left);
    else markNext(chunk, at, found, false);
    // The one before is in use: two free neighbours would have been joined.
    chunk.words[at] = taken | (((taken - 1) * WORD_BYTES - bytes) << SPARE_SHIFT) | (tag << TAG_SHIFT);
    return place;
  }

  /** Whether a block could hold this many bytes instead of its own; if so, it is said to do so from now on. */
  refit(place: number, bytes: number, tag: number): boolean {
    const chunk = this.chunk(place);
    const at = wordOf(place);
    const old = header(chunk, at);
    const size = old & WORDS;
    const left = size - sizeFor(bytes);
    if (left < 0 || left >= LEAST_WORDS) return false;
    const spare = (size - 1) * WORD_BYTES - bytes;
    chunk.words[at] = size | (old & AFTER_FREE) | (spare << SPARE_SHIFT) | (tag << TAG_SHIFT);
    return true;
  }

  /** Gives a block back. */
  release(place: number): void {
    const chunk = this.chunk(place);
    let start = place;
    const at = wordOf(place);
    const old = header(chunk, at);
    let size = old & WORDS;
    const next = at + size;
    if (next < chunk.words.length && (header(chunk, next) & FREE) !== 0) {
      this.#unlist(chunk, place + size, next);
      size += header(chunk, next) & WORDS;
    }
    if ((old & AFTER_FREE) !== 0) {
      const before = chunk.words[at - 1] ?? 0;
      start -= before;
      size += before;
      this.#unlist(chunk, start, wordOf(start));
    }
    this.#list(chunk, start, size);
  }

  /** Gives all blocks back. */
  clear(): void {
    this.#free.fill(NONE);
    this.#powers = 0;
    this.#subs.fill(0);
    for (const [number, chunk] of this.#chunks.entries()) this.#list(chunk, number << CHUNK_BITS, CHUNK_WORDS);
  }

  chunk(place: number): Chunk {
    const chunk = this.#chunks[place >>> CHUNK_BITS];
    if (chunk === undefined) throw new RangeError("no such block");
    return chunk;
  }

  tag(place: number): number {
    return header(this.chunk(place), wordOf(place)) >>> TAG_SHIFT;
  }

  /** How long the content is. */
  bytes(place: number): number {
    const head = header(this.chunk(place), wordOf(place));
    return ((head & WORDS) - 1) * WORD_BYTES - ((head & SPARE) >>> SPARE_SHIFT);
  }

  #addChunk(): void {
    const memory = outsideHeap(CHUNK_WORDS * WORD_BYTES);
    const chunk = { words: new Int32Array(memory), bytes: Buffer.from(memory) };
    this.#chunks.push(chunk);
    this.#list(chunk, (this.#chunks.length - 1) << CHUNK_BITS, CHUNK_WORDS);
  }

  /** A free block of a class whose every block is large enough, as near to that size as there is. */
  #find(size: number): number {
    const wanted = classOf(Math.min(size + roundingOf(size), CHUNK_WORDS));
    let power = wanted >>> SUB_BITS;
    let subs = (this.#subs[power] ?? 0) & (-1 << (wanted & (SUBS - 1)));
    if (subs === 0) {
      const powers = this.#powers & (-2 << power);
      if (powers === 0) return NONE;
      power = lowestBit(powers);
      subs = this.#subs[power] ?? 0;
    }
    return this.#free[(power << SUB_BITS) | lowestBit(subs)] ?? NONE;
  }

  /** Makes this many words a free block. */
  #list(chunk: Chunk, place: number, size: number): void {
    const { words } = chunk;
    const at = wordOf(place);
    const sizeClass = classOf(size);
    const next = this.#free[sizeClass] ?? NONE;
    words[at] = size | FREE;
    words[at + 1] = next;
    words[at + 2] = NONE;
    words[at + size - 1] = size;
    markNext(chunk, at, size, true);
    if (next !== NONE) this.chunk(next).words[wordOf(next) + 2] = place;
    this.#free[sizeClass] = place;
    const power = sizeClass >>> SUB_BITS;
    this.#subs[power] = (this.#subs[power] ?? 0) | (1 << (sizeClass & (SUBS - 1)));
    this.#powers |= 1 << power;
  }

  /** Takes a free block out of its list. */
  #unlist({ words }: Chunk, place: number, at: number): void {
    const next = words[at + 1] ?? NONE;
    const previous = words[at + 2] ?? NONE;
    if (next !== NONE) this.chunk(next).words[wordOf(next) + 2] = previous;
    if (previous !== NONE) {
      this.chunk(previous).words[wordOf(previous) + 1] = next;
      return;
    }
    const sizeClass = classOf((words[at] ?? 0) & WORDS);
    if (this.#free[sizeClass] !== place) throw new RangeError("no such free block");
    this.#free[sizeClass] = next;
    if (next !== NONE) return;
    const power = sizeClass >>> SUB_BITS;
    const subs = (this.#subs[power] ?? 0) & ~(1 << (sizeClass & (SUBS - 1)));
    this.#subs[power] = subs;
    if (subs === 0) this.#powers &= ~(1 << power);
  }
}

/** Where a block's content begins in its chunk, in words; in bytes it is four times that. */
export function contentOf(place: number): number {
  return wordOf(place) + 1;
}

function wordOf(place: number): number {
  return place & WITHIN;
}

function header({ words }: Chunk, at: number): number {
  return words[at] ?? 0;
}

function sizeFor(bytes: number): number {
  return Math.max(LEAST_WORDS, 1 + ((bytes + 3) >>> 2));
}

/** Tells the block behind whether the one before it is free. */
function markNext({ words }: Chunk, at: number, size: number, isFree: boolean): void {
  const next = at + size;
  if (next >= words.length) return;
  const head = words[next] ?? 0;
  words[next] = isFree ? head | AFTER_FREE : head & ~AFTER_FREE;
}

/** One class a size below `SUBS`; beyond, `SUBS` classes to a power of two. */
function classOf(size: number): number {
  const shift = Math.max(0, 31 - Math.clz32(size) - SUB_BITS);
  return size < SUBS ? size : ((shift + 1) << SUB_BITS) | ((size >>> shift) & (SUBS - 1));
}

/** What has to be added to a size so that its class holds no smaller block. */
function roundingOf(size: number): number {
  const shift = Math.max(0, 31 - Math.clz32(size) - SUB_BITS);
  return (1 << shift) - 1;
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
