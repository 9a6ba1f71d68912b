import type { IncomingMessage, ServerResponse } from "node:http";
import type { Awaitable, SessionStore } from "../contract/store.ts";
import type { Clock } from "../contract/time.ts";
import type { Secret } from "../crypto/key-ring.ts";
import type { Migration } from "../session/data-format.ts";
import type { ManagedKeys } from "../session/managed-keys.ts";
import type { ValidData } from "../session/session-interface.ts";
import type { StandardSchema } from "../session/standard-schema.ts";
import type { Duration } from "../session/timeouts.ts";
import type { SessionToValidate } from "../session/validation.ts";
import type { SealedStore } from "../stores/sealed.ts";
import type { ExpressSessionStore } from "../wrap/from-express-store.ts";
import type { CookieOptions } from "./cookies.ts";
import type { DeviceOptions } from "./device.ts";
import type { LegacyReader } from "./legacy.ts";
import type { TrustProxy } from "./secure.ts";
import type { TransportChoice } from "./transports.ts";

/**
 * Options for {@link session}.
 *
 * @typeParam Name - the cookie's name, where the compiler knows it
 */
export interface SessionOptions<Name extends string = string> {
  /**
   * Where sessions live: a store, a `SealedStore`, which keeps each session in its cookie, or a
   * store written for express-session, which guarantees less (see `sessions.capabilities`). Default
   * `new MemoryStore()`, which loses all sessions when the process ends.
   */
  store?: SessionStore | SealedStore | ExpressSessionStore | undefined;
  /**
   * The key: at least 32 random bytes. Of a list, the first writes and all read, so that you can
   * rotate keys, or `managedKeys(…)` of `sojourn/keys`, which rotates them by itself. Tokens then carry a MAC: forged ones never reach the store, and write access to
   * the store is not enough to make a session.
   */
  secret?: Secret | ManagedKeys | undefined;
  /**
   * Encrypts all data in the store with the secret (XAES-256-GCM), bound to its record. A stolen
   * database shows no data, and no attacker can change or move records in it. Sessions that were
   * stored in plain text are not read any more. Default `false`; needs `secret`.
   */
  encrypt?: boolean | undefined;
  /**
   * How tokens travel: `cookie()` (default), `bearer()`, `header(name)`, `query(…)`, or several in
   * order of preference.
   */
  transport?: TransportChoice | readonly TransportChoice[] | undefined;
  /**
   * The cookie's name. Default `"__Host-sid"`, or `"sid"` if the cookie is not Secure or has a
   * domain or another path than `"/"`.
   */
  name?: Name | undefined;
  /**
   * The cookie's attributes, or a function that returns them for a request.
   * Default `{ httpOnly: true, sameSite: "lax", secure: "auto", path: "/" }`.
   */
  cookie?: CookieOptions<Name> | ((req: IncomingMessage) => CookieOptions<Name>) | undefined;
  /** Ends a session this long after its last use. Default `"30m"`; `false` for no limit. */
  idleTimeout?: Duration | false | undefined;
  /** Ends a session this long after it began. Default `"12h"`; `false` for no limit. */
  absoluteTimeout?: Duration | false | undefined;
  /**
   * The shortest time between two updates of an unchanged session's last use. Default: a tenth of
   * `idleTimeout`, at most `"1m"`.
   */
  touchAfter?: Duration | undefined;
  /**
   * Whether a proxy's `X-Forwarded-Proto` decides that a request is secure: `true` or 1 for one
   * proxy, a number for several, or a function such as `app.get("trust proxy fn")`. Default:
   * Express's setting "trust proxy".
   */
  trustProxy?: TrustProxy | undefined;
  /** How long a request waits for the store. Default `{ read: "1s", commit: "2s" }`. */
  storeTimeout?: { read?: Duration | undefined; commit?: Duration | undefined } | undefined;
  /**
   * What happens when a session can't be loaded. Handlers see an empty session that is never saved.
   * `"error"` (default) replaces their response by a 503 through the error handler, unless they did
   * not read the session; `"anonymous"` sends their response. Neither deletes the cookie.
   */
  onStoreError?: "error" | "anonymous" | undefined;
  /**
   * Responds to a request whose session could not be saved. `res` has no headers yet, unless
   * `res.headersSent`. Default: the error handler of Express or Connect; elsewhere a bare response
   * with the error's status, such as 503, and a warning.
   */
  onError?: ((error: unknown, req: IncomingMessage, res: ServerResponse) => void) | undefined;
  /**
   * How many sessions a user may have at once: a number, or `{ limit, exceed }` with a number or a
   * function of the user's ID. With `exceed: "revoke-oldest"` (default) a login beyond the limit
   * ends the sessions used longest ago; with `"refuse"` it rejects with `TOO_MANY_SESSIONS`. Needs
   * a store that can keep the limit, as all stores of Sojourn can. Default: no limit.
   */
  maxSessionsPerUser?: number | SessionLimit | undefined;
  /**
   * How long ago a user may have authenticated who ends sessions: by `logout({ everywhere })`, and
   * by `sessions.revoke` and `revokeAll` if these get the session that asks, as `by` or `except`.
   * Later calls reject with `NOT_FRESH` (ASVS 7.5.2). Default: any time ago.
   */
  freshFor?: Duration | undefined;
  /**
   * Says whether a user may stay logged in: return `false` for one who was disabled, or whose
   * password changed, and the session ends, in every process, within `validateEvery`. It may return
   * a promise. Default: sessions live until they end by themselves.
   */
  validate?: ((session: SessionToValidate) => Awaitable<boolean>) | undefined;
  /** How long an answer of `validate` counts, for one session and process. Default `"1m"`. */
  validateEvery?: Duration | undefined;
  /** How long a request waits for `validate`. Default `"2s"`. */
  validateTimeout?: Duration | undefined;
  /**
   * What happens to a request if `validate` throws, rejects or takes too long. `"refuse"` (default)
   * responds with a 503 (`VALIDATION_FAILED`), so that nobody who was disabled gets in while nobody
   * can tell; `"keep"` goes on with the session. The next request asks again.
   */
  onValidateError?: "refuse" | "keep" | undefined;
  /**
   * Says whether a request is a use of its session. One that is not, such as a poll or a health
   * check, reads and changes the session as any other, but lengthens nothing: neither the idle time
   * nor the cookie. Default: every request is a use.
   */
  countsAsUse?: ((req: IncomingMessage) => boolean) | undefined;
  /**
   * What a login keeps of the device it came from: `{ ip: "network" }` the network of its address
   * instead of the address, `{ ip: false }` no address, `{ label: false }` no label, `false` neither.
   * Default `{ ip: "full", label: true }`.
   */
  device?: DeviceOptions | false | undefined;
  /**
   * What the data must look like: a Standard Schema, such as those of zod, valibot and arktype. What
   * a request changed is checked when it is saved (`INVALID_DATA`). `sessions.of(req)` has its type.
   * Every top-level property may be absent, and the schema must answer at once. Default: anything
   * that JSON can hold.
   */
  schema?: StandardSchema<ValidData> | undefined;
  /**
   * Steps that bring data of older versions of the application along, in order. A session's data
   * is migrated when it is next read, and stored when that request saves. Default `[]`: version 1.
   */
  migrate?: readonly Migration[] | undefined;
  /**
   * What happens to a session whose data can't be migrated. `"set-aside"` (default) treats it as
   * absent and leaves it in the store, so that a corrected migration finds it; `"drop"` goes on with
   * the login and without the data.
   */
  onSchemaError?: "set-aside" | "drop" | undefined;
  /** The largest session, in bytes as stored. Default 66,048: 64 KiB of data, and 512 for names. */
  maxBytes?: number | undefined;
  /**
   * Readers of another library's sessions, from `sojourn/legacy`. A visitor who brings such a
   * session and no session of Sojourn keeps its data. Default: none.
   */
  accept?: readonly LegacyReader[] | undefined;
  /**
   * The source of the time. Tests can use the `ManualClock` of `sojourn/testing`. Default: {@link
   * systemClock}.
   */
  clock?: Clock | undefined;
}

/** Describes how many sessions a user may have, and what happens beyond that. */
export interface SessionLimit {
  /** A whole number from 1, `Infinity` for no limit, or a function that returns it for a user. */
  limit: number | ((userId: string) => Awaitable<number>);
  /** What a login beyond the limit does. Default `"revoke-oldest"`. */
  exceed?: "revoke-oldest" | "refuse" | undefined;
}

const OPTIONS = new Set([
  "store",
  "secret",
  "encrypt",
  "transport",
  "name",
  "cookie",
  "idleTimeout",
  "absoluteTimeout",
  "touchAfter",
  "trustProxy",
  "storeTimeout",
  "onStoreError",
  "onError",
  "maxBytes",
  "maxSessionsPerUser",
  "freshFor",
  "validate",
  "validateEvery",
  "validateTimeout",
  "onValidateError",
  "countsAsUse",
  "device",
  "schema",
  "migrate",
  "onSchemaError",
  "accept",
  "clock",
]);

/** @throws TypeError for an unknown option, with the remedy */
export function refuseUnknown(options: SessionOptions): void {
  if (typeof options !== "object" || options === null)
    throw new TypeError("session(options): options must be an object");
  for (const name of Object.keys(options)) {
    if (OPTIONS.has(name)) continue;
    const hint = ["resave", "saveUninitialized", "rolling", "unset", "genid", "proxy"].includes(name)
      ? "it belongs to express-session; Sojourn needs no such option"
      : `the options are ${[...OPTIONS].join(", ")}`;
    throw new TypeError(`session({ ${name} }) is not an option: ${hint}`);
  }
}
