import type { Awaitable, SessionRecord, SessionStore, UpdateResult } from "../stores/store.ts";
import { isPromise, withDeadline } from "./awaitable.ts";
import type { Clock } from "./clock.ts";
import { SojournError } from "./errors.ts";
import type { Events } from "./events.ts";

export interface Deadlines {
  readMs: number;
  commitMs: number;
}

/**
 * The one door to the store. Behind it every call has a deadline, every failure is a `SojournError` and an event, and parallel
 * reads of one session share their round trips. A synchronous store passes through without a promise.
 */
export class StoreAccess {
  readonly store: SessionStore;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #events: Events;
  /** Whether the store has answered every write with a plain value so far. */
  isSynchronous = true;
  readonly #running = new Set<Promise<unknown>>();
  readonly #loads = new Map<string, { running: Promise<unknown>; next?: Promise<SessionRecord | undefined> }>();
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(store: SessionStore, clock: Clock, deadlines: Deadlines, events: Events) {
    this.store = store;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#events = events;
  }

  /**
   * One round trip at a time for each handle. Who asks while one is under way shares the next one rather than
   * that one, which may have read the store before a commit that this client has already seen.
   */
  load(handle: string): Awaitable<SessionRecord | undefined> {
    const shared = this.#loads.get(handle);
    if (shared !== undefined) {
      shared.next ??= shared.running.then(
        () => this.load(handle),
        () => this.load(handle),
      );
      // Counted from now: the read that is under way may have used up most of its own time.
      return this.#inTime("load", shared.next, this.#deadlines.readMs);
    }
    const work = this.read("load", () => this.store.load(handle));
    if (!isPromise(work)) return work;
    const entry = { running: work };
    this.#loads.set(handle, entry);
    const done = () => this.#loads.delete(handle);
    work.then(done, done);
    return work;
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    let hasFailed = false;
    try {
      const created = this.commit("create", () => {
        const work = this.store.create(handle, record);
        if (!isPromise(work)) return work;
        return work.then((done) => {
          if (done && hasFailed) this.abandon(handle);
          return done;
        });
      });
      if (!isPromise(created)) return created;
      return created.catch((error: unknown) => {
        // It may have been created all the same, now or later, and nobody will ever hold its token.
        hasFailed = true;
        this.abandon(handle);
        throw error;
      });
    } catch (error) {
      this.abandon(handle);
      throw error;
    }
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult> {
    return this.commit("update", () => this.store.update(handle, record, expectedVersion));
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    return this.commit("touch", () => this.store.touch(handle, touchedAt, expiresAt));
  }

  delete(handle: string): Awaitable<boolean> {
    return this.commit("delete", () => this.store.delete(handle));
  }

  /** Deletes a session that no client knows of, as far as the store lets it. */
  abandon(handle: string): void {
    try {
      const work = this.store.delete(handle);
      if (isPromise(work)) work.catch(() => {});
    } catch {
      // It expires by itself.
    }
  }

  /** When nothing is under way; every call ends by its deadline. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  read<T>(operation: string, work: () => Awaitable<T>): Awaitable<T> {
    return this.#call(operation, this.#deadlines.readMs, work);
  }

  commit<T>(operation: string, work: () => Awaitable<T>): Awaitable<T> {
    return this.#call(operation, this.#deadlines.commitMs, work);
  }

  /**
   * Lets this process's retries on one session take turns, so that they don't make each other fail. Only
   * retries: a first attempt never waits for another request.
   */
  inTurn<T>(handle: string, work: () => Awaitable<T>): Promise<T> {
    const before = this.#queues.get(handle) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#queues.set(handle, mine);
    const done = () => {
      if (this.#queues.get(handle) === mine) this.#queues.delete(handle);
    };
    mine.then(done, done);
    return mine;
  }

  /** A pause of up to `ms`, drawn anew each time, so that processes that collide don't collide again. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(Math.random() * ms, resolve));
  }

  #call<T>(operation: string, ms: number, work: () => Awaitable<T>): Awaitable<T> {
    let answer: Awaitable<T>;
    try {
      answer = work();
    } catch (error) {
      throw this.#failed(operation, error);
    }
    if (!isPromise(answer)) return answer;
    this.isSynchronous = false;
    const done = this.#inTime(operation, answer, ms).then(
      (value) => {
        this.#running.delete(done);
        return value;
      },
      (error: unknown) => {
        this.#running.delete(done);
        throw this.#failed(operation, error);
      },
    );
    this.#running.add(done);
    return done;
  }

  #inTime<T>(operation: string, work: Promise<T>, ms: number): Promise<T> {
    const late = () =>
      new SojournError("STORE_TIMEOUT", `the session store did not answer ${operation} within ${ms} ms`);
    return withDeadline(work, ms, this.#clock, late);
  }

  #failed(operation: string, cause: unknown): SojournError {
    const error =
      cause instanceof SojournError
        ? cause
        : new SojournError("STORE_UNAVAILABLE", `the session store failed to ${operation}`, cause);
    this.#events.emit("store-error", { operation, error });
    return error;
  }
}
