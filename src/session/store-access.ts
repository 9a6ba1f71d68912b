import { SojournError } from "../contract/errors.ts";
import {
  type Admission,
  type AdmissionResult,
  type Awaitable,
  type IndexedStore,
  isIndexed,
  leaveTombstone,
  type ReplaceResult,
  type SessionQuery,
  type SessionRecord,
  type SessionStore,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import { after, type Clock, isPromise, withDeadline } from "../contract/time.ts";
import { type Content, decodePayload } from "./content.ts";
import type { DataFormat } from "./data-format.ts";
import type { Events } from "./events.ts";

export interface Deadlines {
  readMs: number;
  commitMs: number;
}

/** A session as the store returned it. */
export interface Stored {
  readonly record: SessionRecord;
  readonly content: Content;
}

/**
 * Wraps every call to the store. Each call has a deadline, each failure is a `SojournError` and an
 * event, and parallel reads of one session share their round trips. A synchronous store needs no
 * promise.
 */
export class StoreAccess {
  readonly store: SessionStore & Partial<Pick<IndexedStore, "deleteAll" | "admit">>;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #events: Events;
  readonly #format: DataFormat | undefined;
  /** Whether every write so far returned a plain value. */
  isSynchronous = true;
  readonly #running = new Set<Promise<unknown>>();
  readonly #loads = new Map<string, { running: Promise<unknown>; next?: Promise<SessionRecord | undefined> }>();

  constructor(
    store: StoreAccess["store"],
    clock: Clock,
    deadlines: Deadlines,
    events: Events,
    format: DataFormat | undefined = undefined,
  ) {
    this.#format = format;
    this.store = store;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#events = events;
  }

  /**
   * Loads a record, one round trip at a time for each handle. A request that arrives during a read
   * joins the next one: the current read may predate a commit that this client has already seen.
   * @param withinMs a shorter deadline than that of reads
   */
  load(handle: string, withinMs: number = this.#deadlines.readMs): Awaitable<SessionRecord | undefined> {
    const ms = Math.min(withinMs, this.#deadlines.readMs);
    const shared = this.#loads.get(handle);
    if (shared !== undefined) {
      shared.next ??= shared.running.then(
        () => this.load(handle),
        () => this.load(handle),
      );
      // Counted from now, because the read in progress may have used most of its own time.
      return this.#inTime("load", shared.next, ms);
    }
    const work = this.read("load", () => this.store.load(handle));
    if (!isPromise(work)) return work;
    const entry = { running: work };
    this.#loads.set(handle, entry);
    const done = () => this.#loads.delete(handle);
    work.then(done, done);
    // Another caller with more time may share it.
    return ms < this.#deadlines.readMs ? this.#inTime("load", work, ms) : work;
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    return this.#begin("create", handle, () => this.store.create(handle, record));
  }

  /** Stores a note. No failure is rolled back: the result tells whether the note was new. */
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

  /** Returns the stored session; `undefined` if it has ended, or is another user's now. */
  reread(handle: string, userId: string | null, withinMs?: number): Awaitable<Stored | undefined> {
    return after(this.load(handle, withinMs), (record) => {
      // A session's user never changes, and only a token proves whose a record is.
      const stored = record?.userId === userId ? decodePayload(record.payload) : undefined;
      if (record === undefined || stored === undefined) return undefined;
      const content = this.#format === undefined ? stored : this.#format.bring(handle, stored);
      return content.isSetAside === true ? undefined : { record, content };
    });
  }

  /** Ends a session of a known version, and stores another one and the tombstone. */
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

  /** Ends a session of a known version, and stores a tombstone. */
  end(handle: string, expectedVersion: number, { handle: note, ...record }: StoredSession): Awaitable<UpdateResult> {
    return after(this.replace(handle, expectedVersion, note, record), (result) =>
      // An earlier attempt left the tombstone.
      result === "taken" ? this.update(handle, ended(expectedVersion), expectedVersion) : result,
    );
  }

  /** Stores a login within its user's limit. */
  admit(admission: Admission): Awaitable<AdmissionResult> {
    const admit = (): Awaitable<AdmissionResult> => this.store.admit?.(admission) ?? { result: "unsupported" };
    return this.#begin("admit", admission.session.handle, admit);
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    return this.commit("touch", () => this.store.touch(handle, touchedAt, expiresAt));
  }

  delete(handle: string): Awaitable<boolean> {
    return this.commit("delete", () => this.store.delete(handle));
  }

  /** Ends the sessions of a user or a link except one. @throws SojournError NO_USER_INDEX */
  endAll(query: SessionQuery & { except?: string }): Awaitable<number> {
    const { deleteAll } = this.store;
    if (typeof deleteAll !== "function") throw noUserIndex("revokeAll");
    return this.commit("deleteAll", () => deleteAll.call(this.store, query));
  }

  /** Returns the store as an indexed one. @throws SojournError NO_USER_INDEX */
  indexed(method: string): IndexedStore {
    if (isIndexed(this.store)) return this.store;
    throw noUserIndex(method);
  }

  /** Deletes a session that no client knows, and ignores a failure. */
  abandon(handle: string): void {
    try {
      const work = this.store.delete(handle);
      if (isPromise(work)) work.catch(() => {});
    } catch {
      // The record expires by itself.
    }
  }

  /** Settles when no call is in progress; every call ends by its deadline. */
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
   * Begins a session. A call that fails may still take effect later, and no client will hold the
   * session's token, so a failure deletes it.
   */
  #begin<T extends boolean | string | AdmissionResult>(
    operation: string,
    handle: string,
    work: () => Awaitable<T>,
  ): Awaitable<T> {
    let hasFailed = false;
    const failed = (error: unknown): never => {
      hasFailed = true;
      this.abandon(handle);
      throw error;
    };
    try {
      const begun = this.commit(operation, () => {
        const working = work();
        if (!isPromise(working)) return working;
        return working.then((result) => {
          const outcome = typeof result === "object" ? result.result : result;
          if (hasFailed && (outcome === true || outcome === "ok")) this.abandon(handle);
          return result;
        });
      });
      return isPromise(begun) ? begun.catch(failed) : begun;
    } catch (error) {
      return failed(error);
    }
  }

  /**
   * Stores the new session first. No client knows its token before the old one has ended, so a
   * crash in between leaves exactly one that opens.
   */
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
    let result: Awaitable<T>;
    try {
      result = work();
    } catch (error) {
      throw this.#failed(operation, error);
    }
    if (!isPromise(result)) return result;
    this.isSynchronous = false;
    const done = this.#inTime(operation, result, ms).then(
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
      new SojournError("STORE_TIMEOUT", `the session store did not respond to ${operation} within ${ms} ms`);
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

/** Returns the record that ends a session of a known version. */
function ended(version: number): SessionRecord {
  return { payload: "", version: version + 1, secretHash: "", userId: null, createdAt: 0, touchedAt: 0, expiresAt: 0 };
}

function noUserIndex(method: string): SojournError {
  return new SojournError("NO_USER_INDEX", `${method} needs a store that can list a user's sessions; this store can't`);
}
