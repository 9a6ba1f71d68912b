import { SojournError } from "../../contract/errors.ts";
import { type Clock, withDeadline } from "../../contract/time.ts";

/** What a driver's error means. */
export interface Failure {
  /** What the caller is told; holds nothing but what {@link publicCause} lets through. */
  error: SojournError;
  /**
   * `refused`: the server answered, and did nothing. `collided`: likewise, for another transaction's sake, so that the same again may
   * succeed. `unprepared`: the table is not there. `lost`: the connection ended, and whether anything was done is unknown.
   */
  kind: "refused" | "collided" | "unprepared" | "lost";
  /** Whether the connection is of no more use, though it answered: it leads to a server that became a replica, say. */
  discard?: boolean;
}

/** A driver's pool, and what its errors mean. */
export interface Driver<C> {
  /** Makes the pool, if it is the store's own. @throws TypeError where its package is not installed */
  open(): Promise<void>;
  /** Waits for a free connection. Called after `open`. */
  connect(): Promise<C>;
  /** What stays the same whenever the pool gives the connection out. */
  identity(connection: C): object;
  /** Calls `onNew` with the identity of each connection that anybody's use of the pool opens. @returns how to stop, where it can tell */
  watch(onNew: (identity: object) => void): (() => void) | undefined;
  release(connection: C): void;
  /** Closes a connection at once, whatever it is doing. */
  discard(connection: C): void;
  /** `undefined` for an error that is not the driver's. */
  failure(error: unknown): Failure | undefined;
  /** Whether the table is there, at the right version. */
  isPrepared(connection: C): Promise<boolean>;
  /** Makes it so; safe where others do the same at the same time. */
  prepare(connection: C): Promise<void>;
  /** Ends the pool, if it is the store's own. */
  end(): Promise<void>;
}

/** How many calls may wait for a connection; one more is refused at once, so that an outage doesn't fill the memory. */
const MOST_WAITING = 2_000;
/** A migration may take longer than a request waits. */
const PREPARE_MS = 60_000;

/** A call under way, and what its deadline has to know of it. */
interface Call<C> {
  over: boolean;
  held: C | undefined;
}

/**
 * The one door to a pool. Every call ends by its deadline, and the connection that it was using is then closed: the answer that is
 * still to come must not meet the next caller. What a call may not do twice, it doesn't.
 *
 * A connection that stays silent beyond a deadline speaks for the others: where the network drops packets, all that were idle
 * are as dead, and each would cost another caller its whole deadline. Those that have not answered since are closed and not used.
 */
export class Connections<C> {
  readonly #driver: Driver<C>;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** When each connection was opened or answered last, and when one was silent last: in steps, since clocks may be set back. */
  readonly #heardAt = new WeakMap<object, number>();
  readonly #unwatch: (() => void) | undefined;
  #silentAt = 0;
  #step = 0;
  #prepared = false;
  #preparing: Promise<void> | undefined;
  #waiting = 0;
  #running = 0;
  #closing: Promise<void> | undefined;
  #drained: (() => void) | undefined;

  constructor(driver: Driver<C>, clock: Clock, timeoutMs: number) {
    this.#driver = driver;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#unwatch = driver.watch((identity) => this.#heard(identity));
  }

  /**
   * Runs `work` on a connection, and once more where that is safe: after a collision, and after a connection was found dead, as pooled
   * ones are when their server restarted.
   *
   * @param provesItself whether an answer to the second try says what happened, though the first one may have been carried out
   * unheard. Any answer does by default, as it does for a read.
   */
  async run<T>(work: (connection: C) => Promise<T>, provesItself: (answer: T) => boolean = () => true): Promise<T> {
    if (this.#closing !== undefined) throw new SojournError("STORE_CLOSED", "The session store was closed.");
    this.#running++;
    try {
      return await this.#byDeadline(this.#timeoutMs, (call) => this.#twice(work, provesItself, call));
    } finally {
      this.#running--;
      if (this.#running === 0) this.#drained?.();
    }
  }

  /** Lets what is under way come to its end, by its deadline, and ends the pool. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    this.#unwatch?.();
    // A server that has stopped answering does not say good-bye either.
    await withDeadline(this.#driver.end(), this.#timeoutMs, this.#clock, lateError).catch(() => {});
  }

  async #twice<T>(
    work: (connection: C) => Promise<T>,
    provesItself: (answer: T) => boolean,
    call: Call<C>,
  ): Promise<T> {
    await this.#ready();
    const first = await this.#once(work, call);
    if ("answer" in first) return first.answer;
    if (first.kind === "refused" || call.over) throw first.error;
    if (first.kind === "unprepared") {
      this.#prepared = false;
      await this.#ready();
    }
    const second = await this.#once(work, call);
    if (!("answer" in second)) throw second.error;
    if (first.kind === "lost" && !provesItself(second.answer)) throw first.error;
    return second.answer;
  }

  /** The answer, or what kept it from coming. @throws whatever is not the driver's, and where no connection is to be had */
  async #once<T>(work: (connection: C) => Promise<T>, call: Call<C>): Promise<{ answer: T } | Failure> {
    if (call.over) throw lateError();
    const connection = await this.#connect();
    if (call.over) {
      this.#driver.release(connection);
      throw lateError();
    }
    call.held = connection;
    let outcome: { answer: T } | Failure;
    try {
      outcome = { answer: await work(connection) };
      this.#heard(this.#driver.identity(connection));
    } catch (error) {
      const failure = this.#failure(error);
      if (failure === undefined) {
        this.#giveBack(connection, call, true);
        throw error;
      }
      outcome = failure;
    }
    this.#giveBack(connection, call, "kind" in outcome && (outcome.kind === "lost" || outcome.discard === true));
    return outcome;
  }

  #giveBack(connection: C, call: Call<C>, broken: boolean): void {
    // The deadline has closed it already.
    if (call.held === undefined) return;
    call.held = undefined;
    if (broken) this.#driver.discard(connection);
    else this.#driver.release(connection);
  }

  async #connect(): Promise<C> {
    if (this.#waiting >= MOST_WAITING) {
      throw new SojournError(
        "STORE_UNAVAILABLE",
        `${MOST_WAITING} calls are waiting for the session database already.`,
      );
    }
    this.#waiting++;
    try {
      for (;;) {
        const connection = await this.#driver.connect();
        if (!this.#isSuspect(connection)) return connection;
        this.#driver.discard(connection);
      }
    } catch (error) {
      throw this.#failure(error)?.error ?? error;
    } finally {
      this.#waiting--;
    }
  }

  #heard(identity: object): void {
    this.#heardAt.set(identity, ++this.#step);
  }

  /** One never heard of is new, unless the pool tells of new ones: then somebody else has used it before. */
  #isSuspect(connection: C): boolean {
    const heardAt = this.#heardAt.get(this.#driver.identity(connection));
    return heardAt === undefined ? this.#unwatch !== undefined && this.#silentAt > 0 : heardAt < this.#silentAt;
  }

  #failure(error: unknown): Failure | undefined {
    return error instanceof SojournError ? { error, kind: "refused" } : this.#driver.failure(error);
  }

  /** All calls wait for one preparation. When it fails they fail, and the next one tries again. */
  #ready(): Promise<void> | undefined {
    if (this.#prepared) return undefined;
    this.#preparing ??= this.#prepare().finally(() => {
      this.#preparing = undefined;
    });
    return this.#preparing;
  }

  async #prepare(): Promise<void> {
    const driver = this.#driver;
    await driver.open();
    const isPrepared = await this.#certainly(this.#timeoutMs, (connection) => driver.isPrepared(connection));
    if (!isPrepared) await this.#certainly(PREPARE_MS, (connection) => driver.prepare(connection));
    this.#prepared = true;
  }

  /** Preparing does nothing that may not be done twice. */
  #certainly<T>(ms: number, work: (connection: C) => Promise<T>): Promise<T> {
    return this.#byDeadline(ms, async (call) => {
      const first = await this.#once(work, call);
      const outcome = "kind" in first && first.kind !== "refused" && !call.over ? await this.#once(work, call) : first;
      if ("answer" in outcome) return outcome.answer;
      throw outcome.error;
    });
  }

  #byDeadline<T>(ms: number, work: (call: Call<C>) => Promise<T>): Promise<T> {
    const call: Call<C> = { over: false, held: undefined };
    const answer = work(call).finally(() => {
      call.over = true;
    });
    return withDeadline(answer, ms, this.#clock, () => {
      call.over = true;
      const { held } = call;
      call.held = undefined;
      if (held !== undefined) {
        this.#silentAt = ++this.#step;
        this.#driver.discard(held);
      }
      return lateError();
    });
  }
}

function lateError(): SojournError {
  return new SojournError("STORE_TIMEOUT", "The session database did not answer in time.");
}
