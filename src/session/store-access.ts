import { after, isPromise, withDeadline } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import {
  type Awaitable,
  leaveTombstone,
  type ReplaceResult,
  type SessionRecord,
  type SessionStore,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import type { Events } from "./events.ts";
import { TimeLimit } from "./time-limit.ts";

export interface Deadlines {
  readMs: number;
  commitMs: number;
}

/** Who waits for a turn on one session. */
interface Queue {
  /** When the last turn has ended. */
  over: Promise<void>;
  /** When the present one began, in epoch milliseconds. */
  since: number;
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
  readonly #queues = new Map<string, Queue>();

  constructor(store: SessionStore, clock: Clock, deadlines: Deadlines, events: Events) {
    this.store = store;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#events = events;
  }

  /**
   * One round trip at a time for each handle. Who asks while one is under way shares the next one rather than
   * that one, which may have read the store before a commit that this client has already seen.
   *
   * @param withinMs if that is less time than reads have anyway
   */
  load(handle: string, withinMs: number = this.#deadlines.readMs): Awaitable<SessionRecord | undefined> {
    const ms = Math.min(withinMs, this.#deadlines.readMs);
    const shared = this.#loads.get(handle);
    if (shared !== undefined) {
      shared.next ??= shared.running.then(
        () => this.load(handle),
        () => this.load(handle),
      );
      // Counted from now: the read that is under way may have used up most of its own time.
      return this.#inTime("load", shared.next, ms);
    }
    const work = this.read("load", () => this.store.load(handle));
    if (!isPromise(work)) return work;
    const entry = { running: work };
    this.#loads.set(handle, entry);
    const done = () => this.#loads.delete(handle);
    work.then(done, done);
    // Others may share it, who have more time.
    return ms < this.#deadlines.readMs ? this.#inTime("load", work, ms) : work;
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    return this.#begin("create", handle, () => this.store.create(handle, record));
  }

  /** Stores a note, which is never taken back: whether it was there before counts. */
  note(handle: string, record: SessionRecord): Awaitable<boolean> {
    return this.commit("create", () => this.store.create(handle, record));
  }

  update(
    handle: string,
    record: SessionRecord,
    expectedVersion: number,
    withinMs: number = this.#deadlines.commitMs,
  ): Awaitable<UpdateResult> {
    return this.#call("update", withinMs, () => this.store.update(handle, record, expectedVersion));
  }

  /** For what is tried again after a conflict: all tries together have the time of one. */
  limit(began: number): TimeLimit {
    return new TimeLimit(this.#clock, this.isSynchronous ? Number.POSITIVE_INFINITY : this.#deadlines.commitMs, began);
  }

  /** Ends a session of a known version, and stores another in its place. The tombstone is there by then. */
  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Awaitable<Exclude<ReplaceResult, "unsupported">> {
    const { store } = this;
    const replaced = this.#begin(
      "replace",
      newHandle,
      () => store.replace?.(handle, expectedVersion, newHandle, record, tombstone) ?? "unsupported",
    );
    return after(replaced, (result) =>
      result === "unsupported" ? this.#replaceInSteps(handle, expectedVersion, newHandle, record, tombstone) : result,
    );
  }

  /** Ends a session of a known version. The tombstone takes its place. */
  end(handle: string, expectedVersion: number, { handle: note, ...record }: StoredSession): Awaitable<UpdateResult> {
    return after(this.replace(handle, expectedVersion, note, record), (result) =>
      // An earlier try has left one.
      result === "taken" ? this.update(handle, ended(expectedVersion), expectedVersion) : result,
    );
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
   * retries: a first attempt never waits for another request. A turn ends after the time of a commit, also if its work doesn't: it then
   * goes on beside the next one, by compare-and-set as ever.
   *
   * @throws what `late` makes, if the turn doesn't come within the limit; then `work` is not begun
   */
  inTurn<T>(handle: string, work: () => Awaitable<T>, limit: TimeLimit, late: () => Error): Promise<T> {
    const queue = this.#queues.get(handle) ?? { over: Promise.resolve(), since: this.#clock.now() };
    this.#queues.set(handle, queue);
    const before = queue.over;
    let hasCome = false;
    const mine = this.#turnComes(queue, before, limit, late).then(() => {
      hasCome = true;
      queue.since = this.#clock.now();
      return work();
    });
    // Who has given up lets nobody overtake the one whose turn it is.
    const over: Promise<void> = mine
      .then(
        () => undefined,
        () => (hasCome ? undefined : before),
      )
      .then(() => {
        if (queue.over === over) this.#queues.delete(handle);
      });
    queue.over = over;
    return mine;
  }

  async #turnComes(queue: Queue, before: Promise<void>, limit: TimeLimit, late: () => Error): Promise<void> {
    for (;;) {
      const turnMs = queue.since + this.#deadlines.commitMs - this.#clock.now();
      if (turnMs <= 0) return;
      const came = before.then(() => true);
      const ms = Math.min(limit.leftMs, turnMs);
      if (await withDeadline(came, ms, this.#clock, late).catch(() => false)) return;
      const isOver = queue.since + this.#deadlines.commitMs <= this.#clock.now();
      if (!isOver && limit.leftMs === 0) throw late();
    }
  }

  /** A pause of up to `ms`, drawn anew each time, so that processes that collide don't collide again. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(Math.random() * ms, resolve));
  }

  /** What fails to begin may have begun all the same, now or later, and nobody will ever hold its token: it is deleted. */
  #begin<T extends boolean | string>(operation: string, handle: string, work: () => Awaitable<T>): Awaitable<T> {
    let hasFailed = false;
    const failed = (error: unknown): never => {
      hasFailed = true;
      this.abandon(handle);
      throw error;
    };
    try {
      const answer = this.commit(operation, () => {
        const working = work();
        if (!isPromise(working)) return working;
        return working.then((result) => {
          if (hasFailed && (result === true || result === "ok")) this.abandon(handle);
          return result;
        });
      });
      return isPromise(answer) ? answer.catch(failed) : answer;
    } catch (error) {
      return failed(error);
    }
  }

  /** The new one first, its token known to nobody until the old one is dead: a crash in between leaves exactly one that opens. */
  #replaceInSteps(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone: StoredSession | undefined,
  ): Awaitable<UpdateResult | "taken"> {
    return after(this.create(newHandle, record), (created) => {
      if (!created) return "taken";
      const end = () =>
        after(tombstone === undefined ? undefined : leaveTombstone(this.store, tombstone), () =>
          this.store.update(handle, ended(expectedVersion), expectedVersion),
        );
      return after(this.#begin("update", newHandle, end), (result) =>
        result === "ok" ? result : after(this.delete(newHandle), () => result),
      );
    });
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

/** The update that ends a session of a known version. */
function ended(version: number): SessionRecord {
  return { payload: "", version: version + 1, secretHash: "", userId: null, createdAt: 0, touchedAt: 0, expiresAt: 0 };
}
