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
export type { SessionEvent, SessionEvents } from "./core/events.ts";
export type { Capabilities, Device } from "./core/manager.ts";
export type { DeviceInfo } from "./core/record.ts";
export {
  type LiveSession,
  type LoginOptions,
  type LogoutOptions,
  type RegenerateOptions,
  Session,
} from "./core/session.ts";
// All of it, because only so can applications add to SessionData by declaring module "sojourn".
export type * from "./core/session-data.ts";
export type { SessionSnapshot } from "./core/snapshot.ts";
export type { Duration } from "./core/timeouts.ts";
export type { CookieOptions } from "./http/cookies.ts";
export { type Sessions, session } from "./http/middleware.ts";
export type { SessionOptions } from "./http/options.ts";
export { bearer, cookie, header, type QueryOptions, query, type TransportChoice } from "./http/transports.ts";
export type { UpgradeOptions, UpgradeSession } from "./http/upgrade.ts";
export { MemoryStore, type MemoryStoreOptions } from "./stores/memory.ts";
export { type OpenStoreOptions, openStore } from "./stores/open.ts";
export type { Secret } from "./tokens/key-ring.ts";
export type { CircuitState } from "./wrap/breaker.ts";
export {
  type CircuitCounts,
  type CircuitEvents,
  type ResilientOptions,
  type ResilientStore,
  resilient,
} from "./wrap/resilient.ts";
