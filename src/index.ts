export { type Clock, systemClock } from "./contract/clock.ts";
export { SojournError, type SojournErrorCode } from "./contract/errors.ts";
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
} from "./contract/store.ts";
export type { Secret } from "./crypto/key-ring.ts";
export type { CookieAttributes, CookieOptions } from "./http/cookies.ts";
export { session } from "./http/middleware.ts";
export type { SessionOptions } from "./http/options.ts";
export type { Sessions } from "./http/sessions.ts";
export { bearer, cookie, header, type QueryOptions, query, type TransportChoice } from "./http/transports.ts";
export type { UpgradeOptions, UpgradeSession } from "./http/upgrade.ts";
export type { SessionEvent, SessionEvents } from "./session/events.ts";
export type { Capabilities, Device } from "./session/manager.ts";
export type { DeviceInfo } from "./session/record.ts";
// All of it, because only so can applications add to SessionData by declaring module "sojourn".
export type * from "./session/session-data.ts";
export type {
  DataOf,
  LoginOptions,
  LogoutOptions,
  RegenerateOptions,
  Session,
  SessionMembers,
  ValidData,
} from "./session/session-interface.ts";
export type { SessionSnapshot } from "./session/snapshot.ts";
export { type Duration, duration } from "./session/timeouts.ts";
export { MemoryStore, type MemoryStoreOptions } from "./stores/memory.ts";
export { type OpenStoreOptions, openStore } from "./stores/open.ts";
export type { CircuitState } from "./wrap/breaker.ts";
export {
  type CircuitCounts,
  type CircuitEvents,
  type ResilientOptions,
  type ResilientStore,
  resilient,
} from "./wrap/resilient.ts";
