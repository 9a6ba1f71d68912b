import { NONE, type Rings } from "./columns.ts";

/**
 * Half a minute: fine enough that a page of a list sorts few sessions, coarse enough that a month has fewer than
 * 100,000 of them.
 */
const GRAIN_MS = 30_000;

/** The grain that an instant belongs to: what is due or used within the same one is not told apart here. */
export function grainOf(time: number): number {
  return Math.floor(time / GRAIN_MS);
}

/**
 * Slots in the order of a coarse time, those of one grain in the order they were added. Adding, removing and finding
 * the oldest don't depend on how many there are.
 */
export class Timeline {
  readonly #rings: Rings;
  /** Each grain that holds a slot, and its first one. */
  readonly #first = new Map<number, number>();
  /** The same grains, ascending. */
  readonly #grains: number[] = [];

  constructor(rings: Rings) {
    this.#rings = rings;
  }

  add(slot: number, time: number): void {
    const grain = grainOf(time);
    const first = this.#first.get(grain);
    if (first === undefined) {
      this.#grains.splice(this.#position(grain), 0, grain);
      this.#first.set(grain, this.#rings.append(NONE, slot));
    } else {
      this.#rings.append(first, slot);
    }
  }

  /** @param time the one that the slot was added with */
  remove(slot: number, time: number): void {
    const grain = grainOf(time);
    const first = this.#first.get(grain);
    if (first === undefined) return;
    const left = this.#rings.remove(first, slot);
    if (left === NONE) {
      this.#first.delete(grain);
      this.#grains.splice(this.#position(grain), 1);
    } else if (left !== first) {
      this.#first.set(grain, left);
    }
  }

  /** The slot of the oldest grain that was added first, other than `except`. */
  oldest(except = NONE): number {
    for (const grain of this.#grains) {
      const first = this.#first.get(grain) ?? NONE;
      if (first !== except) return first;
      const second = this.#rings.next(first);
      if (second !== first) return second;
    }
    return NONE;
  }

  /** The oldest slot whose grain is past at `now`. */
  oldestBefore(now: number): number {
    const grain = this.#grains[0];
    return grain !== undefined && grain < grainOf(now) ? (this.#first.get(grain) ?? NONE) : NONE;
  }

  slots(grain: number): Iterable<number> {
    return this.#rings.slots(this.#first.get(grain) ?? NONE);
  }

  /** Every slot of the grains up to and with the one of `time`. */
  *slotsUpTo(time: number): Generator<number> {
    for (const grain of this.#grains) {
      if (grain > grainOf(time)) return;
      yield* this.slots(grain);
    }
  }

  /** The newest grain below this one, `-Infinity` where there is none. */
  newestBelow(grain: number): number {
    return this.#grains[this.#position(grain) - 1] ?? Number.NEGATIVE_INFINITY;
  }

  /** How many grains are smaller; usually all of them, as time goes on. */
  #position(grain: number): number {
    let low = 0;
    let high = this.#grains.length;
    if (high > 0 && (this.#grains[high - 1] ?? 0) < grain) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#grains[middle] ?? 0) < grain) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
