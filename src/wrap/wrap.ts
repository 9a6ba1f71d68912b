import {
  type Awaitable,
  type IndexedStore,
  isIndexed,
  type SessionPage,
  type SessionRecord,
  type SessionStore,
} from "../contract/store.ts";
import { after } from "../contract/time.ts";

/** A method of a store. */
export type StoreOperation = Exclude<keyof IndexedStore, "synchronousLoad" | "capabilities">;

/** Options for {@link wrapStore}. */
export interface WrapOptions {
  /**
   * Runs each call. `call` passes it on to the wrapped store, which is the default. `handles` are those
   * that the call names: none for a call on many sessions; for `replace` and `admit` the new one last.
   */
  around?<T>(operation: StoreOperation, call: () => Awaitable<T>, handles: readonly string[]): Awaitable<T>;
  /** Changes a record, but no tombstone of `replace`, on its way in. Default: leaves it. */
  encode?(handle: string, record: SessionRecord): SessionRecord;
  /** Changes a record on its way out of the store. Default: leaves it. */
  decode?<R extends SessionRecord>(handle: string, record: R): R;
  /** `false` declares that loads are asynchronous. Default: what the store declares. */
  synchronousLoad?: false | undefined;
}

/**
 * Wraps a store in another one, which has the same optional methods, and no others.
 *
 * @param target receives the methods. Default: a new object
 */
export function wrapStore<Store extends SessionStore>(
  store: Store,
  options: WrapOptions,
): Store extends IndexedStore ? IndexedStore : SessionStore;
export function wrapStore<T extends object>(store: SessionStore, options: WrapOptions, target: T): T & SessionStore;
export function wrapStore(store: SessionStore, options: WrapOptions, target: object = {}): SessionStore {
  const {
    around = (_operation, call) => call(),
    encode = (_handle, record) => record,
    decode = (_handle, record) => record,
    synchronousLoad = store.synchronousLoad ?? false,
  } = options;
  const wrapped: SessionStore = Object.assign(target, {
    synchronousLoad,
    load: (handle) =>
      around("load", () => after(store.load(handle), (record) => record && decode(handle, record)), [handle]),
    create: (handle, record) => around("create", () => store.create(handle, encode(handle, record)), [handle]),
    update: (handle, record, version) =>
      around("update", () => store.update(handle, encode(handle, record), version), [handle]),
    touch: (handle, touchedAt, expiresAt) => around("touch", () => store.touch(handle, touchedAt, expiresAt), [handle]),
    delete: (handle) => around("delete", () => store.delete(handle), [handle]),
    close: () => around("close", () => store.close(), []),
  } satisfies SessionStore);
  // A getter, because a store may learn from its server what it can promise.
  Object.defineProperty(wrapped, "capabilities", { get: () => store.capabilities, enumerable: true });
  const replace = store.replace?.bind(store);
  if (replace !== undefined) {
    wrapped.replace = (handle, version, newHandle, record, tombstone) =>
      around("replace", () => replace(handle, version, newHandle, encode(newHandle, record), tombstone), [
        handle,
        newHandle,
      ]);
  }
  if (!isIndexed(store)) return wrapped;
  const decoded = (page: SessionPage): SessionPage => ({
    ...page,
    sessions: page.sessions.map((session) => decode(session.handle, session)),
  });
  const indexed: IndexedStore = Object.assign(wrapped, {
    list: (query) => around("list", () => after(store.list(query), decoded), []),
    deleteAll: (query) => around("deleteAll", () => store.deleteAll(query), []),
    count: (query) => around("count", () => store.count(query), []),
    prune: (limit) => around("prune", () => store.prune(limit), []),
  } satisfies Pick<IndexedStore, "list" | "deleteAll" | "count" | "prune">);
  const admit = store.admit?.bind(store);
  if (admit !== undefined) {
    indexed.admit = ({ session, ...rest }) => {
      const { handle } = session;
      const call = () => admit({ ...rest, session: { ...encode(handle, session), handle } });
      return around("admit", call, rest.replaces === undefined ? [handle] : [rest.replaces.handle, handle]);
    };
  }
  return indexed;
}
