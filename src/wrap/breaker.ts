/**
 * Whether calls go to a store. `closed`: all of them. `open`: none. `half-open`: one has been let through, and what becomes of it
 * decides.
 */
export type CircuitState = "closed" | "open" | "half-open";

/** So many failures one after the other open the circuit. */
const FAILURES_IN_A_ROW = 5;
/** So do these of at least so many calls within the last ten seconds. */
const SHARE_OF_FAILURES = 0.5;
const FEWEST_CALLS = 20;
const SECONDS = 10;
/** No pause is shorter, so that a store that is down is asked at most once a second. */
const SHORTEST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** What is known of the calls since the circuit closed. */
export interface Outcomes {
  failuresInARow: number;
  /** Of the last ten seconds. */
  calls: number;
  failures: number;
}

/** Whether a failure, counted already, opens a closed circuit. */
export function opensCircuit({ failuresInARow, calls, failures }: Outcomes): boolean {
  return failuresInARow >= FAILURES_IN_A_ROW || (calls >= FEWEST_CALLS && failures >= calls * SHARE_OF_FAILURES);
}

/**
 * How long an open circuit stays so: at least a second, at most 2, 4, 8, 16, 30 and 30 seconds, drawn from the whole of that, so that many
 * processes don't try the same server at the same moment.
 *
 * @param tries how many have failed since it opened
 * @param chance from 0 to 1
 */
export function pauseMs(tries: number, chance: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, 2 * SHORTEST_PAUSE_MS * 2 ** tries);
  return Math.round(SHORTEST_PAUSE_MS + chance * (longest - SHORTEST_PAUSE_MS));
}

/** Told of each change, when it is complete. */
export interface BreakerListener {
  opened(pauseMs: number, previous: CircuitState): void;
  halfOpened(): void;
  closed(outageMs: number): void;
}

/**
 * A circuit breaker. It knows no store and sets no timer: it is told what became of each call, and when.
 *
 * A call belongs to the period in which it was let through, from one change of the circuit to the next. What is heard of it later
 * counts for nothing: only the one call of a half-open circuit closes it.
 */
export class Breaker {
  readonly #listener: BreakerListener;
  readonly #random: () => number;
  #state: CircuitState = "closed";
  #period = 0;
  #failuresInARow = 0;
  #recent = new Recent();
  #tries = 0;
  /** Epoch milliseconds: when the outage began, when the pause did, and when it ends. */
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

  /** Lets a call through and says to which period it belongs, or refuses it. Whoever was let through must tell what came of it. */
  admit(now: number): number | undefined {
    if (this.#state === "closed") return this.#period;
    if (this.#state === "half-open") return undefined;
    // A clock that was set back must not prolong the pause.
    if (now < this.#pausedUntil && now >= this.#pausedAt) return undefined;
    this.#change("half-open");
    this.#listener.halfOpened();
    return this.#period;
  }

  /** The store answered. */
  answered(period: number, now: number): void {
    if (period !== this.#period) return;
    if (this.#state === "closed") {
      this.#failuresInARow = 0;
      this.#recent.add(now, 0);
      return;
    }
    this.#change("closed");
    this.#failuresInARow = 0;
    this.#recent = new Recent();
    this.#tries = 0;
    this.#listener.closed(Math.max(0, now - this.#failedAt));
  }

  /** The store failed, or did not answer in time. */
  failed(period: number, now: number): void {
    if (period !== this.#period) return;
    const previous = this.#state;
    if (previous === "closed") {
      this.#failuresInARow++;
      this.#recent.add(now, 1);
      const { calls, failures } = this.#recent.totals(now);
      if (!opensCircuit({ failuresInARow: this.#failuresInARow, calls, failures })) return;
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

/** Counts of the last ten seconds, the one under way included. A second's place is taken by the one ten seconds later. */
class Recent {
  readonly #seconds = new Array<number>(SECONDS).fill(Number.NaN);
  readonly #calls = new Array<number>(SECONDS).fill(0);
  readonly #failures = new Array<number>(SECONDS).fill(0);

  add(now: number, failures: number): void {
    const second = Math.floor(now / 1_000);
    const place = second % SECONDS;
    if (this.#seconds[place] !== second) {
      this.#seconds[place] = second;
      this.#calls[place] = 0;
      this.#failures[place] = 0;
    }
    this.#calls[place] = (this.#calls[place] ?? 0) + 1;
    this.#failures[place] = (this.#failures[place] ?? 0) + failures;
  }

  totals(now: number): { calls: number; failures: number } {
    const last = Math.floor(now / 1_000);
    let calls = 0;
    let failures = 0;
    for (const [place, second] of this.#seconds.entries()) {
      if (!(second <= last && second > last - SECONDS)) continue;
      calls += this.#calls[place] ?? 0;
      failures += this.#failures[place] ?? 0;
    }
    return { calls, failures };
  }
}
