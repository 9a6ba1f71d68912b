import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../contract/clock.ts";
import type { SessionStore } from "../contract/store.ts";
import type { Secret } from "../crypto/key-ring.ts";
import type { ClientSideStore } from "../sealed/manager.ts";
import type { Duration } from "../session/timeouts.ts";
import type { ExpressSessionStore } from "../wrap/from-express-store.ts";
import type { CookieOptions } from "./cookies.ts";
import type { LegacyReader } from "./legacy.ts";
import type { TrustProxy } from "./secure.ts";
import type { TransportChoice } from "./transports.ts";

/** What `session()` can be told. */
export interface SessionOptions {
  /**
   * Where sessions live: a store, or a `SealedStore`, which has them travel in their cookies, or a store written for express-session, which
   * promises less (see `capabilities`). Default: `new MemoryStore()`, which forgets everything when the process ends.
   */
  store?: SessionStore | ClientSideStore | ExpressSessionStore | undefined;
  /**
   * The key ring: at least 32 random bytes, or several such, of which the first writes and all read. Tokens then carry a MAC, so that
   * junk never reaches the store and nobody can mint a session, not even with write access to the store.
   */
  secret?: Secret | undefined;
  /**
   * Seals every payload at rest with the key ring (XAES-256-GCM), bound to its record: a stolen database shows no data, and what it holds
   * can't be changed or moved. Sessions that were stored in plain text are not read any more. Default `false`; needs `secret`.
   */
  encrypt?: boolean | undefined;
  /** How tokens travel: `cookie()` (the default), `bearer()`, `header(name)`, or several in order of preference. */
  transport?: TransportChoice | readonly TransportChoice[] | undefined;
  /** The cookie's name. Default: `__Host-sid`; `sid` where the cookie is not Secure, or has a domain or another path. */
  name?: string | undefined;
  /** The cookie's attributes, or a function of the request. Default `{ httpOnly: true, sameSite: "lax", secure: "auto", path: "/" }`. */
  cookie?: CookieOptions | ((req: IncomingMessage) => CookieOptions) | undefined;
  /** Ends a session this long after its last use. Default `"30m"`; `false` for none. */
  idleTimeout?: Duration | false | undefined;
  /** Ends a session this long after it began, whatever happens. Default `"12h"`; `false` for none. */
  absoluteTimeout?: Duration | false | undefined;
  /** The last use of an unchanged session is written down at most this often. Default: a tenth of the idle timeout, at most a minute. */
  touchAfter?: Duration | undefined;
  /**
   * Whether a proxy's `X-Forwarded-Proto` decides that a request is secure: `true` or 1 for one proxy, a number for several, or a function of the
   * nearest one's address, such as `app.get("trust proxy fn")`. Default: Express's setting "trust proxy", as `req.secure` has it.
   */
  trustProxy?: TrustProxy | undefined;
  /** No request waits longer for the store. Default `{ read: "1s", commit: "2s" }`. */
  storeTimeout?: { read?: Duration | undefined; commit?: Duration | undefined } | undefined;
  /**
   * When a session can't be loaded, handlers see an empty session that is never saved. With `"error"` (the default) whatever they answer is
   * replaced by a 503 through the error handler, unless they did not look at the session; with `"anonymous"` the answer is given. Only a logout
   * deletes the cookie.
   */
  onStoreError?: "error" | "anonymous" | undefined;
  /**
   * Answers a request whose session could not be saved; `res` is as if nobody had answered yet, unless `res.headersSent`. Default: the error
   * handler of Express or Connect; elsewhere a bare answer with the error's status, such as 503, and a warning.
   */
  onError?: ((error: unknown, req: IncomingMessage, res: ServerResponse) => void) | undefined;
  /** The largest session, in bytes as stored. Default: 64 KiB of data, and 512 bytes for names. */
  maxBytes?: number | undefined;
  /**
   * Readers of another library's sessions: a visitor who has one, and none of ours, keeps it as ours. See `sojourn/legacy`.
   * Default: none.
   */
  accept?: readonly LegacyReader[] | undefined;
  /** What the time is. For tests: `sojourn/testing` has one that stands still. */
  clock?: Clock | undefined;
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
  "accept",
  "clock",
]);

/** @throws TypeError for what is no option, with what to do instead */
export function refuseUnknown(options: SessionOptions): void {
  if (typeof options !== "object" || options === null)
    throw new TypeError("session(options): options must be an object");
  for (const name of Object.keys(options)) {
    if (OPTIONS.has(name)) continue;
    const hint = ["resave", "saveUninitialized", "rolling", "unset", "genid", "proxy"].includes(name)
      ? "it belongs to express-session, and here needs no replacement"
      : `there are ${[...OPTIONS].join(", ")}`;
    throw new TypeError(`session({ ${name} }) is no option: ${hint}`);
  }
}
