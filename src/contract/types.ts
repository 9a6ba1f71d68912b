/** The types of the contract. Every entry point that takes or returns a store exports them. */
export type { Clock } from "./clock.ts";
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
