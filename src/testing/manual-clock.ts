import type { Clock } from "../contract/time.ts";

interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/**
 * A clock that only moves when a test moves it, so that ±1 ms at an edge is exact and no test
 * sleeps.
 *
 * It starts on 1 January 2050 UTC, later than the system time: a server that removes expired
 * records by its own clock, as Redis does, then keeps those of a test.
 *
 * @example
 * import { MemoryStore, session } from "sojourn";
 * import { ManualClock } from "sojourn/testing";
 *
 * const clock = new ManualClock();
 * const sessions = session({ clock, store: new MemoryStore({ clock }) });
 * clock.advance(30 * 60_000); // half an hour later; due timers have fired, in order
 */
export class ManualClock implements Clock {
  #now: number;
  /** In order of their times; timers of one time in the order in which they were set. */
  readonly #timers: Timer[] = [];

  /** @param start epoch milliseconds */
  constructor(start: number = Date.UTC(2050, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, action: () => void): () => void {
    const timer: Timer = { at: this.#now + Math.max(0, ms), action };
    const later = this.#timers.findIndex((other) => other.at > timer.at);
    this.#timers.splice(later === -1 ? this.#timers.length : later, 0, timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index !== -1) this.#timers.splice(index, 1);
    };
  }

  /** The number of timers that are set. A closed store should leave none. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Advances by `ms` milliseconds. Each timer fires at its own time. */
  advance(ms: number): void {
    this.set(this.#now + ms);
  }

  /** Sets the time, in epoch milliseconds. Backwards, no timer fires. */
  set(instant: number): void {
    for (let due = this.#timers[0]; due !== undefined && due.at <= instant; due = this.#timers[0]) {
      this.#timers.shift();
      // A timer that was due before the clock went backwards fires now, not in the past.
      this.#now = Math.max(this.#now, due.at);
      due.action();
    }
    this.#now = instant;
  }
}
