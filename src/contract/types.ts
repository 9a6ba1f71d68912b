/** The types of the contract. Every entry point that takes or returns a store exports them. */

export type {
  Awaitable,
  IndexedStore,
  ReplaceResult,
  SessionPage,
  SessionRecord,
  SessionStore,
  StoreCapabilities,
  StoredSession,
  UpdateResult,
} from "./store.ts";
export type { Clock } from "./time.ts";
