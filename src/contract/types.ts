/** The types of the contract, which every entry point for stores exports. */

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
