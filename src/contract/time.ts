import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import type { Awaitable } from "./store.ts";

/** Tells the time. Sojourn takes every time from a clock, so that tests can stop it. */
export interface Clock {
  /** Returns the time in epoch milliseconds. */
  now(): number;
  /**
   * Calls `action` once, `ms` milliseconds from now, without keeping the process alive. Returns a
   * function that cancels it.
   */
  after(ms: number, action: () => void): () => void;
}

// Test suites replace the global `Date` and timers, before or after this file loads. The time of
// day follows them, because suites move it on purpose. Waiting does not, because it would never
// end: `node:timers` always has the real timers.
export { setImmediate };

const { nextTick } = process;

/**
 * Calls `action` in a microtask; its error is uncaught. A test suite may replace the global
 * function by one that never calls.
 */
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
    // Node fires at once for a longer time than this, which is 24.8 days.
    const timer = setTimeout(action, Math.min(ms, 2 ** 31 - 1));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Returns whether a value is a promise. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Continues at once with a plain value: a synchronous store costs no promise and no tick. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return isPromise(value) ? value.then(next) : next(value);
}

/** Waits at most `ms` for a promise. Late work continues, and its outcome is ignored. */
export function withDeadline<T>(work: Promise<T>, ms: number, clock: Clock, late: () => Error): Promise<T> {
  if (ms === Number.POSITIVE_INFINITY) return work;
  return new Promise<T>((resolve, reject) => {
    // After a stall of the event loop this timer fires before the socket delivers replies that have
    // arrived. One more turn lets them win.
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

/** Runs work, and `failed` if it throws or rejects. Returns what either gives. */
export function recover<T>(work: () => Awaitable<T>, failed: (error: unknown) => Awaitable<T>): Awaitable<T> {
  try {
    const pending = work();
    return isPromise(pending) ? pending.catch(failed) : pending;
  } catch (error) {
    return failed(error);
  }
}

/** Runs operations one after the other, or at once without a promise if the queue is empty. */
export class SerialQueue {
  #busy: Promise<unknown> | undefined = undefined;
  /** Whether the last operation failed. */
  hasFailed = false;

  run<T>(work: () => Awaitable<T>): Awaitable<T> {
    let result: Awaitable<T>;
    try {
      result = this.#busy === undefined ? work() : this.#busy.then(work);
    } catch (error) {
      this.hasFailed = true;
      throw error;
    }
    if (!isPromise(result)) {
      this.hasFailed = false;
      return result;
    }
    const settle = (hasFailed: boolean): void => {
      this.hasFailed = hasFailed;
      if (this.#busy === settled) this.#busy = undefined;
    };
    const settled: Promise<unknown> = result.then(
      () => settle(false),
      () => settle(true),
    );
    this.#busy = settled;
    return result;
  }
}

/** Is a Node-style callback: its first argument is an error, `null` or `undefined`. */
export type Callback<T> = (error?: unknown, value?: T) => void;

/**
 * Passes the outcome to the callback, if there is one, and returns it as a promise. A promise that
 * is not awaited can't crash the process: the commit retries or reports the failure before the
 * response leaves.
 */
export function deliver<T>(work: () => Awaitable<T>, callback?: Callback<T> | null): Promise<T> {
  let outcome: Promise<T>;
  const isCallback = typeof callback === "function";
  try {
    if (!isCallback && callback !== undefined && callback !== null) throw new TypeError("callback must be a function");
    const result = work();
    // A plain value can't fail later.
    if (!isCallback && !isPromise(result)) return Promise.resolve(result);
    outcome = Promise.resolve(result);
  } catch (error) {
    outcome = Promise.reject(error);
  }
  if (!isCallback) {
    outcome.catch(() => {});
    return outcome;
  }
  // queueMicrotask: an error of the callback must reach the application's uncaughtException
  // handler.
  outcome.then(
    (value) => queueMicrotask(() => callback(null, value)),
    (error: unknown) => queueMicrotask(() => callback(error)),
  );
  return outcome;
}
