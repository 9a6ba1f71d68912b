import { SojournError } from "../contract/errors.ts";
import { type Awaitable, type IndexedStore, isNote, type SessionStore } from "../contract/store.ts";
import { type Clock, isPromise, systemClock, withDeadline } from "../contract/time.ts";
import { Events } from "../session/events.ts";
import { type Duration, parseDuration } from "../session/timeouts.ts";
import { Breaker, type CircuitState } from "./breaker.ts";
import { type ExpressSessionStore, fromExpressStore, isExpressStore } from "./from-express-store.ts";
import { type StoreOperation, wrapStore } from "./wrap.ts";

/** Options for {@link resilient}. */
export interface ResilientOptions {
  /**
   * How long a call may take, its retry included, before it fails with `STORE_TIMEOUT`. `read`
   * applies to `load`, `list` and `count`, `commit` to all other calls. Default: `{ read: "1s",
   * commit: "2s" }`, as `storeTimeout` of `session()`.
   */
  timeout?: { read?: Duration | undefined; commit?: Duration | undefined } | undefined;
  /** How many calls may wait for the store. Further calls fail at once. Default: 1,000. */
  maxPending?: number | undefined;
  /**
   * Whether a failed load is retried once, if time is left. Default: `false`, because Sojourn's
   * stores for servers already retry after a lost connection, and nested retries multiply.
   */
  retryReads?: boolean | undefined;
  /** Default: the system clock. */
  clock?: Clock | undefined;
  /** Returns numbers from 0 to 1, which spread the pauses. Default: `Math.random`. */
  random?: (() => number) | undefined;
}

/** The events of a circuit, named after the state that it enters. */
export interface CircuitEvents {
  /** No call goes to the store for `pauseMs` milliseconds. `error` is the last failure. */
  open: { pauseMs: number; previous: CircuitState; error: unknown };
  /** One call tests the store. */
  "half-open": Record<never, never>;
  /** The store is back, `outageMs` milliseconds after the circuit first opened. */
  closed: { outageMs: number };
}

/** Counts calls since the store was wrapped. */
export interface CircuitCounts {
  /** Calls that wait for the store now. */
  pending: number;
  /** Calls that went to the store, retries included. */
  calls: number;
  /** Calls that failed because the store is in trouble. */
  failures: number;
  /** Second tries of loads. */
  retries: number;
  /** Calls that did not go to the store: the circuit was open, or too many calls were waiting. */
  refused: number;
}

/** A store behind a circuit breaker. */
export interface ResilientStore extends SessionStore {
  /** Whether calls go to the store. */
  readonly state: CircuitState;
  readonly counts: Readonly<CircuitCounts>;
  /**
   * Adds a listener to a change of state, and returns a function that removes it. Exceptions of a
   * listener become process warnings.
   *
   * @throws TypeError for an unknown event
   */
  on<E extends keyof CircuitEvents>(event: E, listener: (detail: CircuitEvents[E]) => void): () => void;
}

const OPTIONS = new Set(["timeout", "maxPending", "retryReads", "clock", "random"]);
const READS: ReadonlySet<StoreOperation> = new Set(["load", "list", "count"]);
const BEGINS: ReadonlySet<StoreOperation> = new Set(["create", "replace", "admit"]);

/**
 * Wraps a store in a circuit breaker. While the store is down, requests that need it fail at once
 * instead of after their deadline, and one call at a time tests whether the store is back.
 *
 * The circuit opens after five failures in a row, or when half of at least twenty calls within ten
 * seconds failed. A failure is `STORE_UNAVAILABLE`, `STORE_TIMEOUT`, or any error that is not a
 * `SojournError`. Everything else is an answer: `"gone"`, `"conflict"`, `STORE_FULL`, a damaged
 * session. After a pause of 1 to 30 seconds the next call tests the store.
 *
 * Writes are never retried: an update whose reply was lost would then report a conflict.
 *
 * @param store any store, also one written for express-session. Its optional methods stay, and no
 * others appear.
 * @throws TypeError for an invalid store or option. Calls reject with `SojournError`:
 * `STORE_UNAVAILABLE` when the circuit is open or `maxPending` calls wait, and `STORE_TIMEOUT`
 * after `timeout`.
 * @example
 * import { openStore, resilient, session } from "sojourn";
 *
 * const store = resilient(await openStore(process.env.SESSION_STORE ?? "sqlite:sessions.db"));
 * store.on("open", ({ pauseMs }) => console.error(`the session store is down: pausing for ${pauseMs} ms`));
 * const sessions = session({ store });
 */
export function resilient<Store extends SessionStore | ExpressSessionStore>(
  store: Store,
  options?: ResilientOptions,
): Store extends IndexedStore ? ResilientStore & IndexedStore : ResilientStore;
export function resilient(given: SessionStore | ExpressSessionStore, options: ResilientOptions = {}): ResilientStore {
  for (const name of Object.keys(options)) {
    if (OPTIONS.has(name)) continue;
    throw new TypeError(`resilient: ${name} is no option; there are ${[...OPTIONS].join(", ")}`);
  }
  const store = isExpressStore(given) ? fromExpressStore(given, options.clock ?? systemClock) : given;
  if (typeof store?.load !== "function" || typeof store.update !== "function") {
    const hint = "a SealedStore has no server that could fail: wrap its revocations instead";
    throw new TypeError(`resilient: the first argument must be a store, see SessionStore; ${hint}`);
  }
  return Circuit.around(store, options);
}

interface Attempt<T> {
  operation: StoreOperation;
  /** How long it may take, in milliseconds. */
  ms: number;
  call: () => Awaitable<T>;
  /** Receives an answer that comes after the deadline. */
  onLate?: (answer: T) => Promise<void>;
}

/** The circuit of one store: sends each call to the store with a deadline, or refuses it. */
class Circuit {
  readonly #clock: Clock;
  readonly #timeout: { readMs: number; commitMs: number };
  readonly #maxPending: number;
  readonly #retryReads: boolean;
  readonly #breaker: Breaker;
  readonly #events = new Events<CircuitEvents>({ open: true, "half-open": true, closed: true });
  readonly #counts: CircuitCounts = { pending: 0, calls: 0, failures: 0, retries: 0, refused: 0 };
  #lastFailure: unknown;

  static around(store: SessionStore, options: ResilientOptions): ResilientStore {
    const circuit = new Circuit(options, store.synchronousLoad === true);
    return wrapStore(
      store,
      {
        around(operation, call, handles) {
          if (operation === "close") return call();
          const ms = READS.has(operation) ? circuit.#timeout.readMs : circuit.#timeout.commitMs;
          if (operation === "load" && circuit.#retryReads) return circuit.#twice({ operation, ms, call });
          return circuit.#once({ operation, ms, call, onLate: (answer) => undo(store, operation, answer, handles) });
        },
      },
      circuit,
    );
  }

  private constructor(options: ResilientOptions, isSynchronous: boolean) {
    const { timeout = {}, maxPending = 1_000, retryReads = false, clock = systemClock, random = Math.random } = options;
    if (!Number.isSafeInteger(maxPending) || maxPending < 1) {
      throw new TypeError("resilient: maxPending must be a whole number from 1");
    }
    if (typeof retryReads !== "boolean") throw new TypeError("resilient: retryReads must be true or false");
    this.#timeout = {
      readMs: timeoutMs(timeout.read ?? "1s", "read"),
      commitMs: timeoutMs(timeout.commit ?? "2s", "commit"),
    };
    this.#clock = clock;
    this.#maxPending = maxPending;
    // A store in this process has no connection that a retry could replace.
    this.#retryReads = retryReads && !isSynchronous;
    const events = this.#events;
    this.#breaker = new Breaker(
      {
        opened: (pauseMs, previous) => events.emit("open", { pauseMs, previous, error: this.#lastFailure }),
        halfOpened: () => events.emit("half-open", {}),
        closed: (outageMs) => events.emit("closed", { outageMs }),
      },
      random,
    );
  }

  get state(): CircuitState {
    return this.#breaker.state;
  }

  get counts(): Readonly<CircuitCounts> {
    return { ...this.#counts };
  }

  on<E extends keyof CircuitEvents>(event: E, listener: (detail: CircuitEvents[E]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /** Sends a read, and again if it fails quickly and the circuit is still closed. */
  #twice<T>(attempt: Attempt<T>): Awaitable<T> {
    const startedAt = this.#clock.now();
    const again = (error: unknown): Awaitable<T> => {
      const left = Math.min(attempt.ms, attempt.ms - (this.#clock.now() - startedAt));
      const isLate = error instanceof SojournError && error.code === "STORE_TIMEOUT";
      if (!isOutage(error) || isLate || left <= 0 || this.state !== "closed") throw error;
      this.#counts.retries++;
      return this.#once({ ...attempt, ms: left });
    };
    const period = this.#admit();
    let first: Awaitable<T>;
    try {
      first = this.#send(period, attempt);
    } catch (error) {
      return again(error);
    }
    return isPromise(first) ? first.catch(again) : first;
  }

  #once<T>(attempt: Attempt<T>): Awaitable<T> {
    return this.#send(this.#admit(), attempt);
  }

  /** @throws SojournError `STORE_UNAVAILABLE` */
  #admit(): number {
    const isFull = this.#counts.pending >= this.#maxPending;
    const period = isFull ? undefined : this.#breaker.admit(this.#clock.now());
    if (period !== undefined) return period;
    this.#counts.refused++;
    throw isFull
      ? new SojournError("STORE_UNAVAILABLE", `${this.#maxPending} calls are waiting for the session store already.`)
      : new SojournError(
          "STORE_UNAVAILABLE",
          "The session store failed recently, so the circuit breaker refused this call.",
          this.#lastFailure,
        );
  }

  #send<T>(period: number, { operation, ms, call, onLate }: Attempt<T>): Awaitable<T> {
    this.#counts.calls++;
    let answer: Awaitable<T>;
    try {
      answer = call();
    } catch (error) {
      this.#failed(period, error);
      throw error;
    }
    if (!isPromise(answer)) {
      this.#breaker.answered(period, this.#clock.now());
      return answer;
    }
    const pending = answer;
    this.#counts.pending++;
    return withDeadline(pending, ms, this.#clock, () => {
      if (onLate !== undefined) pending.then(onLate).catch(() => {});
      return new SojournError("STORE_TIMEOUT", `The session store did not answer ${operation} within ${ms} ms.`);
    }).then(
      (value) => {
        this.#counts.pending--;
        this.#breaker.answered(period, this.#clock.now());
        return value;
      },
      (error: unknown) => {
        this.#counts.pending--;
        this.#failed(period, error);
        throw error;
      },
    );
  }

  #failed(period: number, error: unknown): void {
    const now = this.#clock.now();
    if (!isOutage(error)) return this.#breaker.answered(period, now);
    this.#counts.failures++;
    this.#lastFailure = error;
    this.#breaker.failed(period, now);
  }
}

/**
 * Deletes a session that was created after its caller got a timeout: no client will ever hold its
 * token. Late notes stay, because what they record is still true.
 */
async function undo(
  store: SessionStore,
  operation: StoreOperation,
  answer: unknown,
  handles: readonly string[],
): Promise<void> {
  const created = handles.at(-1);
  const result = typeof answer === "object" && answer !== null && "result" in answer ? answer.result : answer;
  const isCreated = BEGINS.has(operation) && (result === true || result === "ok");
  // If the deletion fails too, the session expires.
  if (isCreated && created !== undefined && !isNote(created)) await store.delete(created);
}

/** Returns whether an error means that the store is in trouble. */
function isOutage(error: unknown): boolean {
  return !(error instanceof SojournError) || error.code === "STORE_UNAVAILABLE" || error.code === "STORE_TIMEOUT";
}

/** Refuses "never": a test call that hangs would leave the circuit half-open for good. */
function timeoutMs(value: Duration, option: string): number {
  const ms = parseDuration(value, `resilient: timeout.${option}`);
  if (ms <= 2 ** 31 - 1) return ms;
  throw new TypeError(`resilient: timeout.${option} must be at most 24 days`);
}
