import { NONE, type Rings, type Rows } from "./rows.ts";

/** How many slots a leaf holds; more only where all have the same time. */
const FULL = 64;
/** A leaf with fewer is joined with a neighbour that has room. */
const SPARSE = 16;

/**
 * Slots in the order of a time, those of the same time in the order they were added. Adding, removing and finding the oldest
 * cost a look into a sorted list of leaves and a few dozen steps within one.
 *
 * A leaf is a ring of slots. Those whose time is from its start on, and before the start of the next, are in it; so all
 * slots of one time are in one leaf.
 */
export class Order {
  readonly #rings: Rings;
  readonly #rows: Rows;
  readonly #timeWord: number;
  /** Of each leaf, oldest first: its start, its first slot, how many it has. What is before the first start is in the first leaf too. */
  readonly #starts: number[] = [];
  readonly #firsts: number[] = [];
  readonly #counts: number[] = [];
  /** How many slots the longest search within a leaf passed so far. */
  longestWalk = 0;

  /**
   * @param timeWord where the time of a slot is in its row. It must not change while the slot is in here.
   */
  constructor(rings: Rings, rows: Rows, timeWord: number) {
    this.#rings = rings;
    this.#rows = rows;
    this.#timeWord = timeWord;
  }

  get leaves(): number {
    return this.#starts.length;
  }

  add(slot: number): void {
    const time = this.#time(slot);
    const leaf = this.#leafOf(time);
    const first = this.#firsts[leaf];
    if (first === undefined) {
      this.#insertLeaf(0, this.#rings.append(NONE, slot), 1);
      return;
    }
    const last = this.#rings.previous(first);
    if (this.#time(last) <= time) {
      this.#rings.append(first, slot);
    } else {
      const next = time < this.#time(first) ? first : this.#firstAfter(time, last);
      this.#rings.insertBefore(next, slot);
      if (time < this.#time(first)) this.#firsts[leaf] = slot;
    }
    const count = (this.#counts[leaf] ?? 0) + 1;
    this.#counts[leaf] = count;
    if (count > FULL) this.#split(leaf, slot);
  }

  remove(slot: number): void {
    const leaf = this.#leafOf(this.#time(slot));
    const first = this.#rings.remove(this.#firsts[leaf] ?? NONE, slot);
    if (first === NONE) {
      this.#removeLeaf(leaf);
      return;
    }
    const count = (this.#counts[leaf] ?? 0) - 1;
    this.#firsts[leaf] = first;
    this.#counts[leaf] = count;
    if (count >= SPARSE) return;
    if (count + (this.#counts[leaf + 1] ?? FULL) < FULL) this.#joinWithNext(leaf);
    else if (count + (this.#counts[leaf - 1] ?? FULL) < FULL) this.#joinWithNext(leaf - 1);
  }

  /** The one whose time is least, and of those the one added first, other than `except`. */
  oldest(except = NONE): number {
    const first = this.#firsts[0] ?? NONE;
    if (first === NONE || first !== except) return first;
    return this.#counts[0] === 1 ? (this.#firsts[1] ?? NONE) : this.#rings.next(first);
  }

  /** How many have this time or an earlier one. */
  countUpTo(time: number): number {
    const leaf = this.#leafOf(time);
    let count = 0;
    for (let before = 0; before < leaf; before++) count += this.#counts[before] ?? 0;
    for (const slot of this.#rings.slots(this.#firsts[leaf] ?? NONE)) {
      if (this.#time(slot) > time) break;
      count++;
    }
    return count;
  }

  /** From the newest down to the oldest, beginning with those of this time. Nothing must change meanwhile. */
  *newestFrom(time: number): Generator<number> {
    for (let leaf = this.#leafOf(time); leaf >= 0; leaf--) {
      const first = this.#firsts[leaf];
      if (first === undefined) return;
      let slot = first;
      do {
        slot = this.#rings.previous(slot);
        if (this.#time(slot) <= time) yield slot;
      } while (slot !== first);
    }
  }

  clear(): void {
    this.#starts.length = 0;
    this.#firsts.length = 0;
    this.#counts.length = 0;
  }

  #time(slot: number): number {
    return this.#rows.number(slot, this.#timeWord);
  }

  /** The first slot of a leaf whose time is later, searched for from its last one. */
  #firstAfter(time: number, last: number): number {
    let slot = last;
    let walk = 1;
    for (; this.#time(this.#rings.previous(slot)) > time; walk++) slot = this.#rings.previous(slot);
    if (walk > this.longestWalk) this.longestWalk = walk;
    return slot;
  }

  /** The last leaf whose start is not after this time. */
  #leafOf(time: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0) <= time) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** In the middle, or, where slots come in the order of their times, before the newest: so that leaves stay full. */
  #split(leaf: number, added: number): void {
    const first = this.#firsts[leaf] ?? NONE;
    const last = this.#rings.previous(first);
    if (this.#time(first) === this.#time(last)) return;
    const count = this.#counts[leaf] ?? 0;
    let second: number;
    let left: number;
    if (added === last && this.#time(this.#rings.previous(last)) < this.#time(last)) {
      second = last;
      left = count - 1;
    } else if (count > FULL + 1) {
      // All had one time until now, and the one that was added is older.
      second = this.#rings.next(first);
      left = 1;
    } else {
      [second, left] = this.#cut(first, count);
    }
    this.#rings.splice(first, second);
    this.#counts[leaf] = left;
    this.#insertLeaf(leaf + 1, second, count - left);
  }

  /** The place nearest to the middle where the time changes: the slot behind it, and how many are before. */
  #cut(first: number, count: number): [slot: number, before: number] {
    let best: [number, number] = [first, 0];
    let slot = first;
    for (let before = 1; before < count; before++) {
      const next = this.#rings.next(slot);
      const isNearer = Math.abs(count - 2 * before) < Math.abs(count - 2 * best[1]);
      if (isNearer && this.#time(next) > this.#time(slot)) best = [next, before];
      slot = next;
    }
    return best;
  }

  #joinWithNext(leaf: number): void {
    this.#rings.splice(this.#firsts[leaf] ?? NONE, this.#firsts[leaf + 1] ?? NONE);
    this.#counts[leaf] = (this.#counts[leaf] ?? 0) + (this.#counts[leaf + 1] ?? 0);
    this.#removeLeaf(leaf + 1);
  }

  #insertLeaf(leaf: number, first: number, count: number): void {
    this.#starts.splice(leaf, 0, this.#time(first));
    this.#firsts.splice(leaf, 0, first);
    this.#counts.splice(leaf, 0, count);
  }

  #removeLeaf(leaf: number): void {
    this.#starts.splice(leaf, 1);
    this.#firsts.splice(leaf, 1);
    this.#counts.splice(leaf, 1);
  }
}
