import type { Clock } from "../contract/clock.ts";

interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/**
 * A clock that stands still until a test moves it, so that ±1 ms at an edge is exact and nothing is slept for.
 *
 * It starts on 1 January 2050 UTC: later than the machine's time, so that a server which removes expired records by
 * its own clock (Redis does) keeps those of a test.
 *
 * @example
 * const clock = new ManualClock();
 * const store = new MemoryStore({ clock });
 * clock.advance(30 * 60_000); // half an hour later; due timers have fired, in order
 */
export class ManualClock implements Clock {
  #now: number;
  /** Due first; of those due at once, the one set first. */
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

  /** How many timers are set: nothing that has been closed should leave one. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Moves on by `ms` milliseconds. Timers fire at their own instants, also those that a firing timer sets. */
  advance(ms: number): void {
    this.set(this.#now + ms);
  }

  /** Moves to an instant in epoch milliseconds. Backwards too, as a machine's clock may; then nothing fires. */
  set(instant: number): void {
    for (let due = this.#timers[0]; due !== undefined && due.at <= instant; due = this.#timers[0]) {
      this.#timers.shift();
      // A timer that fell due before a step backwards fires now, not in the past.
      this.#now = Math.max(this.#now, due.at);
      due.action();
    }
    this.#now = instant;
  }
}
