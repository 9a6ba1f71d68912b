import { isPromise, withDeadline } from "../contract/awaitable.ts";
import { type Clock, systemClock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import {
  type Awaitable,
  type IndexedStore,
  isIndexed,
  isNote,
  type ReplaceResult,
  type SessionPage,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import { Events } from "../session/events.ts";
import { type Duration, parseDuration } from "../session/timeouts.ts";
import { Breaker, type CircuitState } from "./breaker.ts";
import { type ExpressSessionStore, fromExpressStore, isExpressStore } from "./from-express-store.ts";

/** What {@link resilient} can be told. */
export interface ResilientOptions {
  /**
   * After this a call fails with `STORE_TIMEOUT`, a second try included. `read` is for load, list and count, `commit` for the others.
   * Default `{ read: "1s", commit: "2s" }`, as `storeTimeout` of `session()`.
   */
  timeout?: { read?: Duration | undefined; commit?: Duration | undefined } | undefined;
  /** How many calls may wait for the store; one more fails at once. Default 1,000. */
  maxPending?: number | undefined;
  /**
   * Whether a load that failed is tried once more, if there is time left. Default `false`: this library's stores for servers do so
   * themselves, where a connection was lost, and retries upon retries multiply.
   */
  retryReads?: boolean | undefined;
  /** Default: the machine's time. */
  clock?: Clock | undefined;
  /** Numbers from 0 to 1 that spread the pauses. Default: `Math.random`. */
  random?: (() => number) | undefined;
}

/** The changes of a circuit, by the state that it is in from then on. */
export interface CircuitEvents {
  /** No call goes to the store for `pauseMs`. `error` is the last failure; before that the circuit was closed, or a try has failed. */
  open: { pauseMs: number; previous: CircuitState; error: unknown };
  /** One call goes to the store, to try it. */
  "half-open": Record<never, never>;
  /** The store is back, `outageMs` after the circuit opened. */
  closed: { outageMs: number };
}

/** What went on since the store was wrapped. */
export interface CircuitCounts {
  /** Calls that are waiting for the store's answer now. */
  pending: number;
  /** Calls that went to the store, second tries included. */
  calls: number;
  /** Those of them that found the store in trouble. */
  failures: number;
  /** Second tries. */
  retries: number;
  /** Calls that did not go to the store, because the circuit was open or too many were waiting. */
  refused: number;
}

/** A store behind a circuit breaker. */
export interface ResilientStore extends SessionStore {
  /** Whether calls go to the store. From `"open"` the next call after the pause leads to `"half-open"`. */
  readonly state: CircuitState;
  readonly counts: Readonly<CircuitCounts>;
  /** Adds a listener to a change of state; returns how to remove it. What a listener throws disturbs nothing. */
  on<E extends keyof CircuitEvents>(event: E, listener: (detail: CircuitEvents[E]) => void): () => void;
}

const OPTIONS = new Set(["timeout", "maxPending", "retryReads", "clock", "random"]);

/**
 * Wraps a store so that one that is in trouble is left alone and costs nobody time: while it is down, requests that need it fail at once
 * instead of after their deadline, and one call at a time finds out whether it is back.
 *
 * The circuit opens after five failures in a row, or when half of at least twenty calls within ten seconds have failed. A failure is
 * `STORE_UNAVAILABLE`, `STORE_TIMEOUT`, or any error that is no `SojournError`; whatever else a store says (`"gone"`, `"conflict"`,
 * `STORE_FULL`, a damaged session), it has answered. After a pause of one second or more, which grows to thirty, the next call is let
 * through as a test. Calls that are refused fail with `STORE_UNAVAILABLE`.
 *
 * Writes are never sent twice: an update that was carried out unheard would come back as a conflict.
 *
 * @param store any store; one written for express-session too. An {@link IndexedStore} stays one, a synchronous one too.
 * @throws TypeError for an impossible option
 * @example
 * const store = resilient(new RedisStore(process.env.REDIS_URL));
 * store.on("open", ({ pauseMs, error }) => log.error({ pauseMs, error }, "the session store is down"));
 * app.use(session({ store }));
 */
export function resilient(store: IndexedStore, options?: ResilientOptions): ResilientStore & IndexedStore;
export function resilient(store: SessionStore | ExpressSessionStore, options?: ResilientOptions): ResilientStore;
export function resilient(given: SessionStore | ExpressSessionStore, options: ResilientOptions = {}): ResilientStore {
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name))
      throw new TypeError(`resilient: ${name} is no option; there are ${[...OPTIONS].join(", ")}`);
  }
  const store = isExpressStore(given) ? fromExpressStore(given, options.clock ?? systemClock) : given;
  if (typeof store?.load !== "function" || typeof store.update !== "function") {
    const hint = "a SealedStore has no server that could fail: wrap its revocations instead";
    throw new TypeError(`resilient: the first argument must be a store, see SessionStore; ${hint}`);
  }
  return isIndexed(store) ? new GuardedIndexedStore(store, options) : new GuardedStore(store, options);
}

class GuardedStore implements ResilientStore {
  readonly synchronousLoad: boolean;
  protected readonly readMs: number;
  protected readonly commitMs: number;
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #maxPending: number;
  readonly #retryReads: boolean;
  readonly #breaker: Breaker;
  readonly #events = new Events<CircuitEvents>({ open: true, "half-open": true, closed: true });
  readonly #counts: CircuitCounts = { pending: 0, calls: 0, failures: 0, retries: 0, refused: 0 };
  #lastFailure: unknown;

  constructor(store: SessionStore, options: ResilientOptions) {
    const { timeout = {}, maxPending = 1_000, retryReads = false, clock = systemClock, random = Math.random } = options;
    if (!Number.isSafeInteger(maxPending) || maxPending < 1) {
      throw new TypeError("resilient: maxPending must be a whole number from 1");
    }
    if (typeof retryReads !== "boolean") throw new TypeError("resilient: retryReads must be true or false");
    this.readMs = deadline(timeout.read ?? "1s", "read");
    this.commitMs = deadline(timeout.commit ?? "2s", "commit");
    this.synchronousLoad = store.synchronousLoad === true;
    this.#store = store;
    this.#clock = clock;
    this.#maxPending = maxPending;
    // A store in this process has no connection that could be a better one.
    this.#retryReads = retryReads && !this.synchronousLoad;
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

  get capabilities(): Readonly<StoreCapabilities> | undefined {
    return this.#store.capabilities;
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

  load(handle: string): Awaitable<SessionRecord | undefined> {
    const work = () => this.#store.load(handle);
    return this.#retryReads ? this.#twice("load", this.readMs, work) : this.call("load", this.readMs, work);
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    const work = () => this.#store.create(handle, record);
    // Whoever asked was told that it failed, so nobody will ever hold its token. A note that comes late still says what is true.
    return this.call("create", this.commitMs, work, (created) => {
      if (created && !isNote(handle)) void quietly(() => this.#store.delete(handle));
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult> {
    return this.call("update", this.commitMs, () => this.#store.update(handle, record, expectedVersion));
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    return this.call("touch", this.commitMs, () => this.#store.touch(handle, touchedAt, expiresAt));
  }

  delete(handle: string): Awaitable<boolean> {
    return this.call("delete", this.commitMs, () => this.#store.delete(handle));
  }

  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Awaitable<ReplaceResult> {
    const { replace } = this.#store;
    if (replace === undefined) return "unsupported";
    const work = () => replace.call(this.#store, handle, expectedVersion, newHandle, record, tombstone);
    return this.call("replace", this.commitMs, work, (result) => {
      if (result === "ok") void quietly(() => this.#store.delete(newHandle));
    });
  }

  close(): Awaitable<void> {
    return this.#store.close();
  }

  /** Lets a call go to the store, or refuses it. @param onLate is told of an answer after the deadline */
  protected call<T>(
    operation: string,
    ms: number,
    work: () => Awaitable<T>,
    onLate?: (answer: T) => void,
  ): Awaitable<T> {
    return this.#ask(this.#admit(), { operation, ms, work, onLate });
  }

  /** A read, and a second one where the store failed at once and the circuit is still closed. */
  #twice<T>(operation: string, ms: number, work: () => Awaitable<T>): Awaitable<T> {
    const period = this.#admit();
    const startedAt = this.#clock.now();
    const again = (error: unknown): Awaitable<T> => {
      const left = Math.min(ms, ms - (this.#clock.now() - startedAt));
      const isLate = error instanceof SojournError && error.code === "STORE_TIMEOUT";
      if (!isOutage(error) || isLate || left <= 0 || this.state !== "closed") throw error;
      this.#counts.retries++;
      return this.#ask(this.#admit(), { operation, ms: left, work });
    };
    let first: Awaitable<T>;
    try {
      first = this.#ask(period, { operation, ms, work });
    } catch (error) {
      return again(error);
    }
    return isPromise(first) ? first.catch(again) : first;
  }

  /** @throws SojournError STORE_UNAVAILABLE */
  #admit(): number {
    const isFull = this.#counts.pending >= this.#maxPending;
    const period = isFull ? undefined : this.#breaker.admit(this.#clock.now());
    if (period !== undefined) return period;
    this.#counts.refused++;
    throw isFull
      ? new SojournError("STORE_UNAVAILABLE", `${this.#maxPending} calls are waiting for the session store already`)
      : new SojournError(
          "STORE_UNAVAILABLE",
          "the session store has failed and is given time to recover: it was not asked",
          this.#lastFailure,
        );
  }

  #ask<T>(period: number, { operation, ms, work, onLate }: Call<T>): Awaitable<T> {
    this.#counts.calls++;
    let answer: Awaitable<T>;
    try {
      answer = work();
    } catch (error) {
      this.#failed(period, error);
      throw error;
    }
    if (!isPromise(answer)) {
      this.#breaker.answered(period, this.#clock.now());
      return answer;
    }
    let isLate = false;
    if (onLate !== undefined) {
      answer.then(
        (value) => {
          if (isLate) onLate(value);
        },
        () => {},
      );
    }
    this.#counts.pending++;
    return withDeadline(answer, ms, this.#clock, () => {
      isLate = true;
      return new SojournError("STORE_TIMEOUT", `the session store did not answer ${operation} within ${ms} ms`);
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
    if (!isOutage(error)) {
      this.#breaker.answered(period, now);
      return;
    }
    this.#counts.failures++;
    this.#lastFailure = error;
    this.#breaker.failed(period, now);
  }
}

class GuardedIndexedStore extends GuardedStore implements IndexedStore {
  readonly #store: IndexedStore;

  constructor(store: IndexedStore, options: ResilientOptions) {
    super(store, options);
    this.#store = store;
  }

  list(query: { userId?: string; cursor?: string; limit?: number }): Awaitable<SessionPage> {
    return this.call("list", this.readMs, () => this.#store.list(query));
  }

  deleteAll(query: { userId?: string; except?: string }): Awaitable<number> {
    return this.call("deleteAll", this.commitMs, () => this.#store.deleteAll(query));
  }

  count(query?: { userId?: string }): Awaitable<number> {
    return this.call("count", this.readMs, () => this.#store.count(query));
  }

  prune(limit?: number): Awaitable<number> {
    return this.call("prune", this.commitMs, () => this.#store.prune(limit));
  }
}

interface Call<T> {
  operation: string;
  ms: number;
  work: () => Awaitable<T>;
  onLate?: ((answer: T) => void) | undefined;
}

/** Whether an error says that the store is in trouble, rather than what it thinks of one call. */
function isOutage(error: unknown): boolean {
  return !(error instanceof SojournError) || error.code === "STORE_UNAVAILABLE" || error.code === "STORE_TIMEOUT";
}

/** A test that never ends would leave the circuit half open for good, so that there is no "never". */
function deadline(value: Duration, option: string): number {
  const ms = parseDuration(value, `resilient: timeout.${option}`);
  if (ms <= 2 ** 31 - 1) return ms;
  throw new TypeError(`resilient: timeout.${option} must be at most 24 days`);
}

async function quietly(work: () => Awaitable<unknown>): Promise<void> {
  try {
    await work();
  } catch {
    // It expires by itself.
  }
}
