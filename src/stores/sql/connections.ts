import { SojournError } from "../../contract/errors.ts";
import type { StoreCapabilities } from "../../contract/store.ts";
import { type Clock, withDeadline } from "../../contract/time.ts";
import type { SqlConnection, SqlDialect, Table } from "./dialect.ts";
import { type Failure, failureOf } from "./failures.ts";
import type { PoolSource } from "./pools.ts";
import { checkSchema, migrate } from "./schema.ts";

/** Calls that may wait for a connection. One more fails, so an outage can't fill the memory. */
const MAX_WAITING = 2_000;
/** A migration may take longer than a request. */
const MIGRATION_MS = 60_000;

/** A call in progress and the connection that it uses, as its deadline sees them. */
interface Call<C> {
  isOver: boolean;
  held: C | undefined;
}

type Outcome<T> = { answer: T } | Failure;

interface ConnectionOptions<P, C extends SqlConnection> {
  dialect: SqlDialect<P, C>;
  source: PoolSource<P>;
  table: Table;
  createTable: boolean;
  clock: Clock;
  timeoutMs: number;
}

/**
 * Runs calls on the connections of a pool. Prepares the table first.
 *
 * Every call ends by its deadline, which closes the connection that the call was using: a late
 * reply must not reach the next caller. All connections that were idle at a timeout are closed too.
 * If the network drops packets they are just as dead, and each would cost a caller its deadline.
 */
export class Connections<P, C extends SqlConnection> {
  /** What a commit survives. The server's default until the first call has read its settings. */
  durable: StoreCapabilities["durable"] = "power-loss";
  readonly #options: ConnectionOptions<P, C>;
  readonly #dialect: SqlDialect<P, C>;
  /** Counts the calls whose connection did not reply in time. */
  #timeouts = 0;
  /** That count when each connection was opened or last replied. */
  readonly #seenAt = new WeakMap<object, number>();
  readonly #unwatch: (() => void) | undefined;
  #isPrepared = false;
  #preparing: Promise<void> | undefined;
  #waiting = 0;
  readonly #running = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(options: ConnectionOptions<P, C>) {
    const { dialect, source } = options;
    this.#options = options;
    this.#dialect = dialect;
    this.#unwatch = source.on(dialect.connectEvent, (connection) => this.#seen(connection));
  }

  /**
   * Runs `work` on a connection. Repeats it once where that is safe: after a collision, and after
   * the connection turned out to be dead, as pooled ones are once their server has restarted.
   *
   * @param provesItself whether the second attempt's answer holds, although the first attempt may
   * have taken effect unnoticed. By default it does, as for a read.
   */
  async run<T>(work: (connection: C) => Promise<T>, provesItself?: (answer: T) => boolean): Promise<T> {
    if (this.#closing !== undefined) throw new SojournError("STORE_CLOSED", "The session store was closed.");
    const answer = this.#withDeadline(this.#options.timeoutMs, async (call) => {
      await this.#ready();
      return this.#tryTwice(call, work, provesItself, () => {
        this.#isPrepared = false;
        return this.#ready();
      });
    });
    this.#running.add(answer);
    try {
      return await answer;
    } finally {
      this.#running.delete(answer);
    }
  }

  /** Waits for the calls in progress, then ends the pool. */
  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#running).then(async () => {
      this.#unwatch?.();
      const { source, timeoutMs, clock } = this.#options;
      // A server that has stopped replying doesn't confirm the end of a connection either.
      await withDeadline(source.end(), timeoutMs, clock, timeoutError).catch(() => {});
    });
    return this.#closing;
  }

  /** Closes the connection that `work` is using at the deadline. */
  #withDeadline<T>(ms: number, work: (call: Call<C>) => Promise<T>): Promise<T> {
    const call: Call<C> = { isOver: false, held: undefined };
    return withDeadline(work(call), ms, this.#options.clock, () => {
      call.isOver = true;
      if (call.held !== undefined) this.#timeouts++;
      this.#giveBack(call, true);
      return timeoutError();
    });
  }

  async #tryTwice<T>(
    call: Call<C>,
    work: (connection: C) => Promise<T>,
    provesItself: (answer: T) => boolean = () => true,
    prepare: () => Promise<void> | undefined = () => undefined,
  ): Promise<T> {
    const first = await this.#try(call, work);
    if ("answer" in first) return first.answer;
    if (first.kind === "refused" || call.isOver) throw first.error;
    if (first.kind === "unprepared") await prepare();
    const second = await this.#try(call, work);
    if (!("answer" in second)) throw second.error;
    if (first.kind === "lost" && !provesItself(second.answer)) throw first.error;
    return second.answer;
  }

  /** @throws errors that are not the driver's, and the error when no connection is available */
  async #try<T>(call: Call<C>, work: (connection: C) => Promise<T>): Promise<Outcome<T>> {
    if (call.isOver) throw timeoutError();
    const connection = await this.#connect();
    call.held = connection;
    let isBroken = false;
    try {
      if (call.isOver) throw timeoutError();
      const answer = await work(connection);
      this.#seen(connection);
      return { answer };
    } catch (error) {
      const failure = this.#failureOf(error);
      isBroken = failure === undefined || failure.kind === "lost" || failure.discard;
      if (failure === undefined) throw error;
      return failure;
    } finally {
      this.#giveBack(call, isBroken);
    }
  }

  /** Does nothing if the deadline has closed the connection already. */
  #giveBack(call: Call<C>, isBroken: boolean): void {
    const { held } = call;
    if (held === undefined) return;
    call.held = undefined;
    if (isBroken) {
      this.#dialect.discard(held);
      return;
    }
    this.#dialect.release(held);
    // Last, so that the pool's own listener is in place before this one is removed.
    held.removeListener("error", ignore);
  }

  async #connect(): Promise<C> {
    if (this.#waiting >= MAX_WAITING) {
      throw new SojournError("STORE_UNAVAILABLE", `${MAX_WAITING} calls are waiting for the session database already.`);
    }
    this.#waiting++;
    try {
      for (;;) {
        const connection = await this.#dialect.connect(await this.#options.source.open());
        // A connection that breaks in use emits this event and fails its statement.
        connection.on("error", ignore);
        if (!this.#isSuspect(connection)) return connection;
        this.#dialect.discard(connection);
      }
    } catch (error) {
      throw this.#failureOf(error)?.error ?? error;
    } finally {
      this.#waiting--;
    }
  }

  #seen(connection: object): void {
    this.#seenAt.set(this.#dialect.identity(connection), this.#timeouts);
  }

  /**
   * Whether a connection was idle at the last timeout, and so may be dead. An unknown connection is
   * new, unless the pool announces new ones: then another part of the application has used it.
   */
  #isSuspect(connection: C): boolean {
    const unknown = this.#unwatch === undefined ? this.#timeouts : 0;
    return (this.#seenAt.get(this.#dialect.identity(connection)) ?? unknown) < this.#timeouts;
  }

  #failureOf(error: unknown): Failure | undefined {
    return failureOf(error, this.#dialect.explain, this.#options.source.redact);
  }

  /** Shares one preparation between all calls. If it fails, the next call tries again. */
  #ready(): Promise<void> | undefined {
    if (this.#isPrepared) return undefined;
    this.#preparing ??= this.#prepare().finally(() => {
      this.#preparing = undefined;
    });
    return this.#preparing;
  }

  async #prepare(): Promise<void> {
    const { source, table, createTable, timeoutMs } = this.#options;
    const run = <T>(ms: number, work: (connection: C) => Promise<T>) =>
      this.#withDeadline(ms, (call) => this.#tryTwice(call, work));
    await source.open();
    const { isPrepared, durable } = await run(timeoutMs, (connection) =>
      checkSchema(this.#dialect, connection, table, createTable),
    );
    this.durable = durable;
    if (!isPrepared) await run(MIGRATION_MS, (connection) => migrate(this.#dialect, connection, table));
    this.#isPrepared = true;
  }
}

function ignore(): void {}

function timeoutError(): SojournError {
  return new SojournError("STORE_TIMEOUT", "The session database did not reply in time.");
}
