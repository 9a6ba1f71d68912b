/** The types of the contract, which every entry point for stores exports. */

export type {
  Admission,
  AdmissionResult,
  Awaitable,
  IndexedStore,
  ReplaceResult,
  SessionPage,
  SessionQuery,
  SessionRecord,
  SessionStore,
  StoreCapabilities,
  StoredSession,
  UpdateResult,
} from "./store.ts";
export type { Clock } from "./time.ts";
