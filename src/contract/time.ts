import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import type { Awaitable } from "./store.ts";

/** Tells the time. Sojourn takes every time from a clock, so that tests can stop it. */
export interface Clock {
  /** Returns the time in epoch milliseconds. */
  now(): number;
  /** Calls `action` once, `ms` milliseconds from now, without keeping the process alive. Returns a function that cancels it. */
  after(ms: number, action: () => void): () => void;
}

// Test suites replace the global `Date` and timers, before or after this file is loaded. The time of day follows the replacement, because
// that is what such a suite moves. Waiting does not: it would never end. `node:timers` has the real timers in any case.
export { setImmediate };

const { nextTick } = process;

/** Calls `action` in a microtask. The global function of this name may be a fake that never does. What `action` throws is uncaught. */
export function queueMicrotask(action: () => void): void {
  Promise.resolve()
    .then(action)
    .catch((error: unknown) => {
      nextTick(() => {
        throw error;
      });
    });
}

/**
 * Tells the machine's time. It is the default of every `clock` option.
 *
 * @example
 * import { type Clock, session, systemClock } from "sojourn";
 *
 * const anHourAhead: Clock = { ...systemClock, now: () => systemClock.now() + 3_600_000 };
 * const sessions = session({ clock: anHourAhead });
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, action) {
    // Node fires at once for anything longer than this, which is 24.8 days.
    const timer = setTimeout(action, Math.min(ms, 2 ** 31 - 1));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Whether there is anything to wait for. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Goes on at once with a plain value, later with a promise's: a synchronous store costs no promise and no tick. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return isPromise(value) ? value.then(next) : next(value);
}

/** Waits at most `ms` for a promise; the work itself is not undone, and what it comes to later is ignored. */
export function withDeadline<T>(work: Promise<T>, ms: number, clock: Clock, late: () => Error): Promise<T> {
  if (ms === Number.POSITIVE_INFINITY) return work;
  return new Promise<T>((resolve, reject) => {
    // After a stall of the event loop the timer fires before answers that are already in the socket are read: one more turn
    // lets them win.
    const cancel = clock.after(ms, () => setImmediate(() => reject(late())));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** Runs operations one after the other: at once, and without a promise, while none is in progress. */
export class SerialQueue {
  #busy: Promise<unknown> | undefined = undefined;
  /** Whether the last operation failed. */
  hasFailed = false;

  run<T>(work: () => Awaitable<T>): Awaitable<T> {
    let answer: Awaitable<T>;
    try {
      answer = this.#busy === undefined ? work() : this.#busy.then(work);
    } catch (error) {
      this.hasFailed = true;
      throw error;
    }
    if (!isPromise(answer)) {
      this.hasFailed = false;
      return answer;
    }
    const settle = (hasFailed: boolean): void => {
      this.hasFailed = hasFailed;
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

/** Is a Node-style callback: its first argument is an error, `null` or `undefined`. */
export type Callback<T> = (error?: unknown, value?: T) => void;

/**
 * Gives the outcome to the callback, if there is one, and as a promise. Nobody has to look at the promise: one that is not awaited
 * can't bring the process down; what failed then is tried, or told, again before the response leaves.
 */
export function deliver<T>(work: () => Awaitable<T>, callback?: Callback<T> | null): Promise<T> {
  let outcome: Promise<T>;
  const isCallback = typeof callback === "function";
  try {
    if (!isCallback && callback !== undefined && callback !== null) throw new TypeError("callback must be a function");
    const answer = work();
    // What is done at once can't fail any more.
    if (!isCallback && !isPromise(answer)) return Promise.resolve(answer);
    outcome = Promise.resolve(answer);
  } catch (error) {
    outcome = Promise.reject(error);
  }
  if (!isCallback) {
    outcome.catch(() => {});
    return outcome;
  }
  // queueMicrotask: what the callback throws is the application's, and must reach its handler of uncaught exceptions.
  outcome.then(
    (value) => queueMicrotask(() => callback(null, value)),
    (error: unknown) => queueMicrotask(() => callback(error)),
  );
  return outcome;
}
