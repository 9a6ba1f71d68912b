export type { Device } from "./contract/device.ts";
export { SojournError, type SojournErrorCode } from "./contract/errors.ts";
export type { Callback } from "./contract/time.ts";
export { systemClock } from "./contract/time.ts";
export type * from "./contract/types.ts";
export type { Secret } from "./crypto/key-ring.ts";
export type { CookieAttributes, CookieOptions } from "./http/cookies.ts";
export type { DeviceOptions } from "./http/device.ts";
export type { LegacyReader, LegacySession } from "./http/legacy.ts";
export { session } from "./http/middleware.ts";
export type { SessionLimit, SessionOptions } from "./http/options.ts";
export type { TrustProxy } from "./http/secure.ts";
export type { Sessions } from "./http/sessions.ts";
export { bearer, cookie, header, type QueryOptions, query, type TransportChoice } from "./http/transports.ts";
export type { TouchOptions, UpgradeOptions, UpgradeSession } from "./http/upgrade.ts";
export { type FreshnessGuard, type RequireFreshOptions, requireFresh } from "./identity/require-fresh.ts";
export { returnTo } from "./identity/return-to.ts";
export type { Capabilities } from "./session/admin.ts";
export type { AuthenticationMethod } from "./session/authentication.ts";
export type { Migration } from "./session/data-format.ts";
export type { LogoutRefusal, SessionEvent, SessionEvents } from "./session/events.ts";
export type { ManagedKeys } from "./session/managed-keys.ts";
export type { Actor, DeviceInfo } from "./session/meta.ts";
export type { ErasedSessions, ExportedSession } from "./session/personal-data.ts";
// All of it, because only so can applications add to SessionData by declaring module "sojourn".
export type * from "./session/session-data.ts";
export type {
  ConfirmOptions,
  DataOf,
  ImpersonateOptions,
  LoginOptions,
  LogoutOptions,
  RegenerateOptions,
  Session,
  SessionMembers,
  ValidData,
} from "./session/session-interface.ts";
export type { SessionSnapshot } from "./session/snapshot.ts";
export type { InferData, SchemaIssue, SchemaResult, StandardSchema } from "./session/standard-schema.ts";
export { type Duration, duration } from "./session/timeouts.ts";
export type { SessionToValidate } from "./session/validation.ts";
export { MemoryStore, type MemoryStoreOptions } from "./stores/memory.ts";
export type * from "./stores/open.ts";
export { openStore } from "./stores/open.ts";
export type { SealedStore, SealedStoreOptions } from "./stores/sealed.ts";
export type { CircuitState } from "./wrap/breaker.ts";
export type { ExpressSessionStore } from "./wrap/from-express-store.ts";
export {
  type CircuitCounts,
  type CircuitEvents,
  type ResilientOptions,
  type ResilientStore,
  resilient,
} from "./wrap/resilient.ts";
