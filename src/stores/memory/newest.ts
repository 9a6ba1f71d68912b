import type { PageStart } from "../paging.ts";

/** The order of a list. */
export function byNewestUse(a: PageStart, b: PageStart): number {
  return b.touchedAt - a.touchedAt || (a.handle < b.handle ? -1 : a.handle > b.handle ? 1 : 0);
}

/** The first few of many in the order of a list, without sorting the many. */
export class Newest {
  readonly places: PageStart[] = [];
  readonly #room: number;

  constructor(room: number) {
    this.#room = room;
  }

  offer(place: PageStart): void {
    const { places } = this;
    const last = places.at(-1);
    if (last !== undefined && places.length === this.#room && byNewestUse(last, place) < 0) return;
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = places[middle];
      if (other !== undefined && byNewestUse(other, place) < 0) low = middle + 1;
      else high = middle;
    }
    places.splice(low, 0, place);
    if (places.length > this.#room) places.pop();
  }
}
