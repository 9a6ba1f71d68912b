import { clearTimeout, setImmediate, setTimeout } from "node:timers";

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
