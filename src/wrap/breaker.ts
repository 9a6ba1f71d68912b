/**
 * Whether calls go to a store. `closed`: all of them. `open`: none. `half-open`: one call tests the
 * store, and its outcome decides.
 */
export type CircuitState = "closed" | "open" | "half-open";

/** This many failures in a row open the circuit. */
const FAILURES_IN_A_ROW = 5;
/** So does this share of failures among enough calls of the last ten seconds. */
const SHARE_OF_FAILURES = 0.5;
const FEWEST_CALLS = 20;
const SECONDS = 10;
const SHORTEST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** @internal The outcomes of calls since the circuit closed. */
export interface Outcomes {
  failuresInARow: number;
  /** Of the last ten seconds, as `failures`. */
  calls: number;
  failures: number;
}

/** @internal Returns whether a failure, which the outcomes include, opens a closed circuit. */
export function opensCircuit({ failuresInARow, calls, failures }: Outcomes): boolean {
  return failuresInARow >= FAILURES_IN_A_ROW || (calls >= FEWEST_CALLS && failures >= calls * SHARE_OF_FAILURES);
}

/**
 * @internal
 * Returns how long an open circuit stays open: at least one second, at most 2, 4, 8, 16, then 30
 * seconds. It is drawn from that whole range, so that many processes don't test one server at the
 * same moment.
 *
 * @param tries failed tests since the circuit opened
 * @param chance from 0 to 1
 */
export function pauseMs(tries: number, chance: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, 2 * SHORTEST_PAUSE_MS * 2 ** tries);
  return Math.round(SHORTEST_PAUSE_MS + chance * (longest - SHORTEST_PAUSE_MS));
}

/** @internal Receives each change of a circuit, after it is complete. */
export interface BreakerListener {
  opened(pauseMs: number, previous: CircuitState): void;
  halfOpened(): void;
  closed(outageMs: number): void;
}

/**
 * @internal
 * A circuit breaker without a store or a timer: its caller reports the outcome of each call, and
 * when.
 *
 * A call belongs to the period in which it was admitted; each change of the circuit starts a new
 * period. Outcomes from earlier periods are ignored, so only the one call of a half-open circuit
 * can close it.
 */
export class Breaker {
  readonly #listener: BreakerListener;
  readonly #random: () => number;
  #state: CircuitState = "closed";
  #period = 0;
  #failuresInARow = 0;
  #recent = new RecentCalls();
  #tries = 0;
  /** Epoch milliseconds: the start of the outage, then the start and the end of the pause. */
  #failedAt = 0;
  #pausedAt = 0;
  #pausedUntil = 0;

  constructor(listener: BreakerListener, random: () => number) {
    this.#listener = listener;
    this.#random = random;
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** Admits a call and returns its period, or `undefined`. The caller reports its outcome. */
  admit(now: number): number | undefined {
    if (this.#state === "closed") return this.#period;
    if (this.#state === "half-open") return undefined;
    // A clock that is set back must not prolong the pause.
    if (now < this.#pausedUntil && now >= this.#pausedAt) return undefined;
    this.#change("half-open");
    this.#listener.halfOpened();
    return this.#period;
  }

  /** Records that the store answered. */
  answered(period: number, now: number): void {
    if (period !== this.#period) return;
    this.#failuresInARow = 0;
    if (this.#state === "closed") {
      this.#recent.add(now, 0);
      return;
    }
    this.#change("closed");
    this.#recent = new RecentCalls();
    this.#tries = 0;
    this.#listener.closed(Math.max(0, now - this.#failedAt));
  }

  /** Records that the store failed, or did not answer in time. */
  failed(period: number, now: number): void {
    if (period !== this.#period) return;
    const previous = this.#state;
    if (previous === "closed") {
      this.#failuresInARow++;
      this.#recent.add(now, 1);
      if (!opensCircuit({ failuresInARow: this.#failuresInARow, ...this.#recent.totals(now) })) return;
      this.#failedAt = now;
    } else {
      this.#tries++;
    }
    const pause = pauseMs(this.#tries, this.#random());
    this.#pausedAt = now;
    this.#pausedUntil = now + pause;
    this.#change("open");
    this.#listener.opened(pause, previous);
  }

  #change(state: CircuitState): void {
    this.#state = state;
    this.#period++;
  }
}

/** Counts calls of the last ten seconds, in a ring with one slot a second. */
class RecentCalls {
  readonly #slots = Array.from({ length: SECONDS }, () => ({ second: Number.NaN, calls: 0, failures: 0 }));

  add(now: number, failures: number): void {
    const second = Math.floor(now / 1_000);
    const found = this.#slots[second % SECONDS];
    const slot = found?.second === second ? found : { second, calls: 0, failures: 0 };
    slot.calls++;
    slot.failures += failures;
    this.#slots[second % SECONDS] = slot;
  }

  totals(now: number): { calls: number; failures: number } {
    const last = Math.floor(now / 1_000);
    const totals = { calls: 0, failures: 0 };
    for (const { second, calls, failures } of this.#slots) {
      if (!(second <= last && second > last - SECONDS)) continue;
      totals.calls += calls;
      totals.failures += failures;
    }
    return totals;
  }
}
