import type {
  Awaitable,
  IndexedStore,
  SessionPage,
  SessionRecord,
  SessionStore,
  UpdateResult,
} from "../../src/index.ts";
import { caller } from "./site.ts";
import type { Run } from "./steps.ts";

/** A store whose calls stop in the run of the moment, where a client's request makes them; others pass. */
export class SteppedStore implements IndexedStore {
  run: Run | undefined = undefined;
  readonly replace?: NonNullable<SessionStore["replace"]>;
  readonly #store: IndexedStore;

  constructor(store: IndexedStore) {
    this.#store = store;
    const replace = store.replace?.bind(store);
    if (replace !== undefined) {
      this.replace = (handle, ...rest) => this.#pass("replace", handle, () => replace(handle, ...rest));
    }
  }

  load(handle: string): Awaitable<SessionRecord | undefined> {
    return this.#pass("load", handle, () => this.#store.load(handle));
  }
  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    return this.#pass("create", handle, () => this.#store.create(handle, record));
  }
  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult> {
    return this.#pass("update", handle, () => this.#store.update(handle, record, expectedVersion));
  }
  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    return this.#pass("touch", handle, () => this.#store.touch(handle, touchedAt, expiresAt));
  }
  delete(handle: string): Awaitable<boolean> {
    return this.#pass("delete", handle, () => this.#store.delete(handle));
  }
  deleteAll(query: { userId?: string; except?: string }): Awaitable<number> {
    return this.#pass("deleteAll", undefined, () => this.#store.deleteAll(query));
  }
  prune(limit?: number): Awaitable<number> {
    return this.#pass("prune", undefined, () => this.#store.prune(limit));
  }
  list(query: { userId?: string; cursor?: string; limit?: number }): Awaitable<SessionPage> {
    return this.#store.list(query);
  }
  count(query?: { userId?: string }): Awaitable<number> {
    return this.#store.count(query);
  }
  close(): ReturnType<SessionStore["close"]> {
    return this.#store.close();
  }

  #pass<T>(method: string, handle: string | undefined, work: () => Awaitable<T>): Awaitable<T> {
    const { run } = this;
    return run === undefined || !caller.getStore() ? work() : run.call(method, handle, work);
  }
}
