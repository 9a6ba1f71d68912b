import { isPromise } from "../contract/awaitable.ts";
import type { Awaitable } from "../contract/store.ts";

/**
 * Runs the operations of one visit one after the other; at once, and without a promise, where none is under way. A visit's turn
 * comes before a process's turn on one session (`Committer.inTurn`), never the other way round.
 */
export class Turns {
  #busy: Promise<unknown> | undefined = undefined;
  #hasFailed = false;

  /** Whether the last operation failed. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  take<T>(work: () => Awaitable<T>): Awaitable<T> {
    let answer: Awaitable<T>;
    try {
      answer = this.#busy === undefined ? work() : this.#busy.then(work);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
    if (!isPromise(answer)) {
      this.#hasFailed = false;
      return answer;
    }
    const settle = (hasFailed: boolean): void => {
      this.#hasFailed = hasFailed;
      if (this.#busy === settled) this.#busy = undefined;
    };
    const settled: Promise<unknown> = answer.then(
      () => settle(false),
      () => settle(true),
    );
    this.#busy = settled;
    return answer;
  }
}
