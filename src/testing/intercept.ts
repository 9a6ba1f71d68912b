import { type Awaitable, type IndexedStore, isIndexed, type SessionStore } from "../contract/store.ts";

/** A method of a store. */
export type StoreOperation = Exclude<keyof IndexedStore, "synchronousLoad" | "capabilities">;

/** Stands between a caller and the store: calls it, or doesn't, and answers. */
export type Around = <T>(operation: StoreOperation, call: () => Awaitable<T>) => Awaitable<T>;

/** How a wrapped store presents itself. */
export interface InterceptOptions {
  /** `false`: as a store whose loads take a while. Default: as the store does itself. */
  synchronousLoad?: false;
}

/** The same store, every call of which goes through `around`. An indexed one stays one. */
export function intercept(store: IndexedStore, around: Around, options?: InterceptOptions): IndexedStore;
export function intercept(store: SessionStore, around: Around, options?: InterceptOptions): SessionStore;
export function intercept(store: SessionStore, around: Around, options: InterceptOptions = {}): SessionStore {
  const { capabilities } = store;
  const wrapped: SessionStore = {
    synchronousLoad: options.synchronousLoad ?? store.synchronousLoad ?? false,
    ...(capabilities === undefined ? {} : { capabilities }),
    load: (handle) => around("load", () => store.load(handle)),
    create: (handle, record) => around("create", () => store.create(handle, record)),
    update: (handle, record, version) => around("update", () => store.update(handle, record, version)),
    touch: (handle, touchedAt, expiresAt) => around("touch", () => store.touch(handle, touchedAt, expiresAt)),
    delete: (handle) => around("delete", () => store.delete(handle)),
    close: () => around("close", () => store.close()),
  };
  const replace = store.replace?.bind(store);
  if (replace !== undefined) {
    wrapped.replace = (...call) => around("replace", () => replace(...call));
  }
  if (!isIndexed(store)) return wrapped;
  const indexed: IndexedStore = {
    ...wrapped,
    list: (query) => around("list", () => store.list(query)),
    deleteAll: (query) => around("deleteAll", () => store.deleteAll(query)),
    count: (query) => around("count", () => store.count(query)),
    prune: (limit) => around("prune", () => store.prune(limit)),
  };
  return indexed;
}

/** Whoever reads a synchronous store expects a plain value at once: it can't be kept waiting. */
export function refuseWaitingLoad(store: SessionStore, operation: StoreOperation, wrapper: string): void {
  if (operation !== "load" || store.synchronousLoad !== true) return;
  throw new TypeError(`The loads of a synchronous store can't wait: use ${wrapper}(store, { synchronousLoad: false })`);
}
