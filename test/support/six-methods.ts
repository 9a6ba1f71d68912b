import type { SessionStore } from "../../src/contract/store.ts";
import type { MemoryStore } from "../../src/stores/memory.ts";

/** Reduces a store to the six methods that every store has. */
export function sixMethods(store: MemoryStore): SessionStore {
  return {
    load: (handle) => store.load(handle),
    create: (handle, record) => store.create(handle, record),
    update: (handle, record, version) => store.update(handle, record, version),
    touch: (handle, touchedAt, expiresAt) => store.touch(handle, touchedAt, expiresAt),
    delete: (handle) => store.delete(handle),
    close: () => store.close(),
  };
}
