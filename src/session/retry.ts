import { conflictError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { after, type Clock, withDeadline } from "../contract/time.ts";
import type { Events } from "./events.ts";
import type { SessionState } from "./state.ts";
import type { StoreAccess, Stored } from "./store-access.ts";

/**
 * The most attempts before a change fails with CONFLICT. Each conflict means that another request
 * succeeded, so a crowd needs few. Only a store that can't compare versions reaches the limit.
 */
const TRIES = 50;

/** Limits the time of all attempts of one change, including the waits between them. */
export class TimeLimit {
  readonly #clock: Clock;
  readonly #ms: number;
  #began: number;

  /** @param began epoch milliseconds of the first attempt */
  constructor(clock: Clock, ms: number, began: number) {
    this.#clock = clock;
    this.#ms = ms;
    this.#began = began;
  }

  /** The remaining time, between 0 and the limit even if the clock is set meanwhile. */
  get leftMs(): number {
    const spentMs = this.#clock.now() - this.#began;
    return Math.max(0, Math.min(this.#ms, this.#ms - spentMs));
  }

  /** Runs the application's own work, whose time does not count. */
  exclude<T>(work: () => Awaitable<T>): Awaitable<T> {
    const from = this.#clock.now();
    return after(work(), (result) => {
      this.#began += this.#clock.now() - from;
      return result;
    });
  }
}

/** The queue of retries on one session. */
interface Queue {
  /** Settles when the last turn ends. */
  last: Promise<void>;
  /** When the current turn began, in epoch milliseconds. */
  since: number;
}

/** Retries changes after conflicts. */
export class Retries {
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #commitMs: number;
  readonly #queues = new Map<string, Queue>();

  constructor(clock: Clock, events: Events, commitMs: number) {
    this.#clock = clock;
    this.#events = events;
    this.#commitMs = commitMs;
  }

  limit({ isSynchronous }: StoreAccess, began: number): TimeLimit {
    return new TimeLimit(this.#clock, isSynchronous ? Number.POSITIVE_INFINITY : this.#commitMs, began);
  }

  /**
   * Calls `work` with the newest record of a session, `undefined` if there is none. The second and
   * later retries wait a moment, so that processes that collided don't collide again. Retries on
   * one session queue up in this process; a first attempt never waits.
   *
   * @throws SojournError CONFLICT after the last retry, or when the time for all of them is over
   */
  retry<T>(
    access: StoreAccess,
    state: SessionState,
    tries: number,
    limit: TimeLimit,
    work: (newest: Stored | undefined) => Awaitable<T>,
  ): Awaitable<T> {
    const { handle, record } = state.rotation?.previous ?? state;
    const again = (): Awaitable<T> => {
      if (tries > TRIES || limit.leftMs === 0) throw conflictError();
      this.#events.emit("conflict", { handle, attempt: tries });
      const read = () => after(access.reread(handle, record.userId, limit.leftMs), work);
      return tries === 1 ? read() : this.#pause(Math.min(2 * tries, 20)).then(read);
    };
    // No other call can run between the load and the update of a synchronous store.
    return tries > 1 || access.isSynchronous ? again() : this.#inTurn(handle, again, limit);
  }

  /** Waits up to `ms`, at random, so that processes that collided don't collide again. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(Math.random() * ms, resolve));
  }

  /**
   * Runs the retries on one session one after the other, so that they don't make each other fail. A
   * turn ends after the time of a commit even if its work hangs. That work then overlaps the next
   * turn, which compare-and-set makes harmless.
   * @throws SojournError CONFLICT if the turn doesn't come within the limit; then `work` does not
   * start
   */
  #inTurn<T>(handle: string, work: () => Awaitable<T>, limit: TimeLimit): Promise<T> {
    const queue = this.#queues.get(handle) ?? { last: Promise.resolve(), since: this.#clock.now() };
    this.#queues.set(handle, queue);
    const before = queue.last;
    let hasCome = false;
    const mine = this.#turnComes(queue, before, limit).then(() => {
      hasCome = true;
      queue.since = this.#clock.now();
      return work();
    });
    // A retry that gave up must not let the next one overtake the current turn.
    const settled: Promise<void> = mine
      .then(
        () => undefined,
        () => (hasCome ? undefined : before),
      )
      .then(() => {
        if (queue.last === settled) this.#queues.delete(handle);
      });
    queue.last = settled;
    return mine;
  }

  async #turnComes(queue: Queue, before: Promise<void>, limit: TimeLimit): Promise<void> {
    for (;;) {
      const turnMs = queue.since + this.#commitMs - this.#clock.now();
      if (turnMs <= 0) return;
      const came = before.then(() => true);
      const ms = Math.min(limit.leftMs, turnMs);
      if (await withDeadline(came, ms, this.#clock, conflictError).catch(() => false)) return;
      const isOver = queue.since + this.#commitMs <= this.#clock.now();
      if (!isOver && limit.leftMs === 0) throw conflictError();
    }
  }
}
