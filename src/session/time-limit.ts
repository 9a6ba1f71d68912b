import { after } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import type { Awaitable } from "../contract/store.ts";

/** The time that all tries of one change have together, the waits between them included. */
export class TimeLimit {
  readonly #clock: Clock;
  readonly #ms: number;
  #began: number;

  /** @param began epoch milliseconds of the first try */
  constructor(clock: Clock, ms: number, began: number) {
    this.#clock = clock;
    this.#ms = ms;
    this.#began = began;
  }

  /** The clock may be set meanwhile: never less than nothing or more than all. */
  get leftMs(): number {
    const spentMs = this.#clock.now() - this.#began;
    return Math.max(0, Math.min(this.#ms, this.#ms - spentMs));
  }

  /** Runs what is the application's own time, and doesn't count. */
  without<T>(work: () => Awaitable<T>): Awaitable<T> {
    const from = this.#clock.now();
    return after(work(), (result) => {
      this.#began += this.#clock.now() - from;
      return result;
    });
  }
}
