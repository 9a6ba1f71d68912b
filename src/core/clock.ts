/** The one place that reads the time. Everything else is given a clock, so that tests can hold it still. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Calls `action` once, `ms` milliseconds from now, without keeping the process alive. Returns how to cancel it. */
  after(ms: number, action: () => void): () => void;
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: Date.now,
  after(ms, action) {
    // Node fires at once for anything longer than this, which is 24.8 days.
    const timer = setTimeout(action, Math.min(ms, 2 ** 31 - 1));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
