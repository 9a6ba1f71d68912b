import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, systemClock } from "../core/clock.ts";
import { Events } from "../core/events.ts";
import { SessionManager } from "../core/manager.ts";
import type { LiveSession } from "../core/session.ts";
import { type Duration, parseDuration, timeouts } from "../core/timeouts.ts";
import { MemoryStore } from "../stores/memory.ts";
import type { SessionStore } from "../stores/store.ts";
import { KeyRing, type Secret } from "../tokens/key-ring.ts";
import { TokenSource } from "../tokens/token.ts";
import { type CookieOptions, pathMatches } from "./cookies.ts";
import { Exchange, type Next } from "./exchange.ts";
import { CookieTransport } from "./transports.ts";

export interface SessionOptions {
  /** Where sessions live. Default: `new MemoryStore()`, which forgets everything when the process ends. */
  store?: SessionStore;
  /**
   * The key ring: at least 32 random bytes, or several such, of which the first writes and all read. Tokens then carry a MAC, so that
   * junk never reaches the store and nobody can mint a session, not even with write access to the store.
   */
  secret?: Secret;
  /** The cookie's name. Default: `__Host-sid`; `sid` where the cookie is not Secure, or has a domain or another path. */
  name?: string;
  /** The cookie's attributes, or a function of the request. Default `{ httpOnly: true, sameSite: "lax", secure: "auto", path: "/" }`. */
  cookie?: CookieOptions | ((req: IncomingMessage) => CookieOptions);
  /** Ends a session this long after its last use. Default `"30m"`; `false` for none. */
  idleTimeout?: Duration | false;
  /** Ends a session this long after it began, whatever happens. Default `"12h"`; `false` for none. */
  absoluteTimeout?: Duration | false;
  /** The last use of an unchanged session is written down at most this often. Default: a tenth of the idle timeout, at most a minute. */
  touchAfter?: Duration;
  /** Whether the nearest proxy's `X-Forwarded-Proto` decides that a request is secure. Default: Express's setting "trust proxy". */
  trustProxy?: boolean;
  /** No request waits longer for the store. Default `{ read: "1s", commit: "2s" }`. */
  storeTimeout?: { read?: Duration; commit?: Duration };
  /**
   * When a session can't be loaded: `"error"` (the default) answers with status 503 through the error handler; `"anonymous"` goes on with an
   * empty session that is never saved. An outage never deletes a cookie.
   */
  onStoreError?: "error" | "anonymous";
  /** The largest session, in bytes as stored. Default: 64 KiB of data, and 512 bytes for names. */
  maxBytes?: number;
  /** What the time is. For tests: `sojourn/testing` has one that stands still. */
  clock?: Clock;
}

type ManagerMembers = Pick<
  SessionManager,
  "list" | "revoke" | "revokeAll" | "get" | "count" | "prune" | "close" | "capabilities"
> & { on: Events["on"] };

/** A connect-style middleware that is also the manager of its sessions. */
export interface Sessions extends ManagerMembers {
  (req: IncomingMessage, res: ServerResponse, next: Next): void;
}

declare global {
  namespace Express {
    interface Request {
      /** The visitor's session: plain properties, saved before the response leaves. */
      session: LiveSession;
      /** The session's handle, the same as `req.session.id`. */
      readonly sessionID: string;
    }
  }
}

const EXCHANGE = Symbol("exchange");
interface WithExchange {
  [EXCHANGE]?: Exchange;
}

/** Shared by all requests, so that giving one its session costs no closure. */
const SESSION: PropertyDescriptor & ThisType<WithExchange> = {
  configurable: true,
  enumerable: true,
  get(): LiveSession | undefined {
    return this[EXCHANGE]?.session;
  },
  set() {
    throw new TypeError("req.session can't be replaced: use await req.session.destroy(), or regenerate()");
  },
};
const SESSION_ID: PropertyDescriptor & ThisType<WithExchange> = {
  configurable: true,
  enumerable: false,
  get(): string | undefined {
    return this[EXCHANGE]?.session.id;
  },
};

const OPTIONS = new Set([
  "store",
  "secret",
  "name",
  "cookie",
  "idleTimeout",
  "absoluteTimeout",
  "touchAfter",
  "trustProxy",
  "storeTimeout",
  "onStoreError",
  "maxBytes",
  "clock",
]);
/** 64 KiB of data, and room for names and lengths. */
const MAX_BYTES = 65_536 + 512;

/**
 * Sessions for Express, Connect, or any `(req, res, next)`.
 *
 * ```ts
 * import express from "express";
 * import { session } from "sojourn";
 *
 * const app = express();
 * app.use(session({ secret: process.env.SESSION_SECRET }));
 * app.get("/", (req, res) => {
 *   req.session.views = (req.session.views ?? 0) + 1;
 *   res.send(`You were here ${req.session.views} times`);
 * });
 * ```
 *
 * @throws TypeError for an option that can't work, naming it and the remedy
 */
export function session(options: SessionOptions = {}): Sessions {
  refuseUnknown(options);
  const {
    clock = systemClock,
    store = new MemoryStore({ clock }),
    onStoreError = "error",
    maxBytes = MAX_BYTES,
  } = options;
  if (typeof store?.load !== "function" || typeof store.create !== "function" || typeof store.update !== "function") {
    throw new TypeError("store must have load, create, update, touch, delete and close: see SessionStore");
  }
  if (onStoreError !== "error" && onStoreError !== "anonymous") {
    throw new TypeError('onStoreError must be "error" or "anonymous"');
  }
  if (!Number.isInteger(maxBytes) || maxBytes < 1) throw new TypeError("maxBytes must be a positive number of bytes");
  const ring =
    options.secret === undefined
      ? undefined
      : new KeyRing(options.secret, { production: process.env["NODE_ENV"] === "production", warn });
  const transport = new CookieTransport({
    cookie: options.cookie,
    name: options.name,
    trustProxy: options.trustProxy,
    ring,
  });
  const events = new Events();
  warnOfUnsentCookies(events);
  const manager = new SessionManager({
    store,
    clock,
    events,
    maxBytes,
    limits: timeouts(options),
    deadlines: {
      readMs: parseDuration(options.storeTimeout?.read ?? "1s", "storeTimeout.read"),
      commitMs: parseDuration(options.storeTimeout?.commit ?? "2s", "storeTimeout.commit"),
    },
    tokens: new TokenSource(),
  });
  const env = { manager, onStoreError };

  function middleware(req: IncomingMessage & WithExchange, res: ServerResponse, next: Next): void {
    // Mounted twice, or below another one: the first has the request.
    if (req[EXCHANGE] !== undefined) return next();
    const channel = transport.channelFor(req);
    if (channel.path !== "/" && !pathMatches(pathOf(req), channel.path)) return next();
    const exchange = new Exchange(env, req, res, next, channel);
    req[EXCHANGE] = exchange;
    Object.defineProperty(req, "session", SESSION);
    Object.defineProperty(req, "sessionID", SESSION_ID);
    exchange.begin();
  }

  return Object.defineProperty(
    Object.assign(middleware, {
      list: manager.list.bind(manager),
      revoke: manager.revoke.bind(manager),
      revokeAll: manager.revokeAll.bind(manager),
      get: manager.get.bind(manager),
      count: manager.count.bind(manager),
      prune: manager.prune.bind(manager),
      close: manager.close.bind(manager),
      on: events.on.bind(events),
      capabilities: manager.capabilities,
    }),
    "name",
    { value: "session" },
  );
}

/** The path as the client sent it, before any mounting; absolute-form targets (RFC 9112 3.2.2) too. */
function pathOf(req: IncomingMessage & { originalUrl?: string }): string {
  const url = req.originalUrl ?? req.url ?? "/";
  const path = url.startsWith("/") ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  return path.replace(/[?#].*$/s, "") || "/";
}

function refuseUnknown(options: SessionOptions): void {
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

function warn(message: string): void {
  process.emitWarning(message, { code: "SOJOURN" });
}

/** Loud, but once: a cookie that can't arrive is the commonest reason why "the session doesn't work". */
function warnOfUnsentCookies(events: Events): void {
  const remedies = {
    insecure:
      'the session cookie is Secure, but this request did not come over HTTPS as far as the application can tell, so the cookie can\'t be sent and the session was not stored. Behind a proxy that ends TLS: app.set("trust proxy", 1), or trustProxy: true without Express. Without TLS: cookie: { secure: "auto" }',
    "headers-sent":
      "a session was begun after the response's headers had left, so its cookie can't be sent and it was not stored. Change the session before the response starts",
  };
  const told = new Set<string>();
  events.on("cookie-not-sent", ({ reason }) => {
    if (told.has(reason)) return;
    told.add(reason);
    warn(remedies[reason]);
  });
}
