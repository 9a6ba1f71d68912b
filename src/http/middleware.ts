import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, systemClock } from "../core/clock.ts";
import { encrypted } from "../core/encrypted-store.ts";
import { Events } from "../core/events.ts";
import { type ExpressSessionStore, fromExpressStore, isExpressStore } from "../core/express-store.ts";
import type { SessionKeeper } from "../core/keeper.ts";
import { SessionManager } from "../core/manager.ts";
import { type ClientSideStore, SealedManager } from "../core/sealed-manager.ts";
import type { LiveSession } from "../core/session.ts";
import { type Duration, parseDuration, timeouts } from "../core/timeouts.ts";
import { MemoryStore } from "../stores/memory.ts";
import type { SessionStore } from "../stores/store.ts";
import { KeyRing, type Secret } from "../tokens/key-ring.ts";
import { TokenSource } from "../tokens/token.ts";
import type { CookieOptions } from "./cookies.ts";
import { Exchange, type Next } from "./exchange.ts";
import "./express-request.ts";
import { acceptOf, type LegacyReader } from "./legacy.ts";
import { giveSession, hasSession } from "./request-session.ts";
import { answering, cookie, type TransportChoice, Transports } from "./transports.ts";
import {
  isAllowedOrigin,
  openDetached,
  type UpgradeOptions,
  type UpgradeSession,
  upgradeSession,
  Watch,
} from "./upgrade.ts";
import { UrlTokens } from "./url-tokens.ts";

export interface SessionOptions {
  /**
   * Where sessions live: a store, or a `SealedStore`, which has them travel in their cookies, or a store written for express-session, which
   * promises less (see `capabilities`). Default: `new MemoryStore()`, which forgets everything when the process ends.
   */
  store?: SessionStore | ClientSideStore | ExpressSessionStore;
  /**
   * The key ring: at least 32 random bytes, or several such, of which the first writes and all read. Tokens then carry a MAC, so that
   * junk never reaches the store and nobody can mint a session, not even with write access to the store.
   */
  secret?: Secret;
  /**
   * Seals every payload at rest with the key ring (XAES-256-GCM), bound to its record: a stolen database shows no data, and what it holds
   * can't be changed or moved. Sessions that were stored in plain text are not read any more. Default `false`; needs `secret`.
   */
  encrypt?: boolean;
  /** How tokens travel: `cookie()` (the default), `bearer()`, `header(name)`, or several in order of preference. */
  transport?: TransportChoice | readonly TransportChoice[];
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
  /**
   * Readers of another library's sessions: a visitor who has one, and none of ours, keeps it as ours. See `sojourn/legacy`.
   * Default: none.
   */
  accept?: readonly LegacyReader[];
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
  /**
   * The session of a WebSocket's upgrade request, or of one whose answer is a stream of events: to be read, and to be told of its end.
   * `undefined` where there is none, where two transports brought different ones, and where the `Origin` is another site's.
   * @example
   * server.on("upgrade", async (req, socket, head) => {
   *   const session = await sessions.authenticateUpgrade(req);
   *   if (!session?.userId) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
   *   sockets.handleUpgrade(req, socket, head, (ws) => ws.on("close", session.onEnd(() => ws.close(4401))));
   * });
   */
  authenticateUpgrade(req: IncomingMessage, options?: UpgradeOptions): Promise<UpgradeSession | undefined>;
  /**
   * The session that a token opens which came by another way than a header, such as a WebSocket's first message. For tokens of `bearer()`
   * and `header(name)` only.
   * @throws TypeError if the application has no such transport
   */
  openToken(token: string): Promise<UpgradeSession | undefined>;
  /**
   * A token for a link that signs this user in, once, within `expiresIn` (default `"2m"`, at most `"5m"`). For `transport: query(…)`; where
   * that has `bind`, for the client that made the request `for`, and no other.
   * @throws TypeError if the application has no such transport, and without `for` where it has `bind`
   * @example const link = `https://example.com/welcome?session=${sessions.urlToken(user.id)}`;
   */
  urlToken(userId: string, options?: { expiresIn?: Duration; for?: IncomingMessage }): string;
}

declare global {
  namespace Express {
    interface SojournRequests {
      sojourn: { session: LiveSession };
    }
    interface Request {
      // Not `readonly`, though it can't be assigned to: modifiers have to be those of other declarations, as express-session's.
      /** The session's handle, the same as `req.session.id`. */
      sessionID: string;
    }
  }
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
  "maxBytes",
  "accept",
  "clock",
]);
/** How long a link may sign in. */
const LONGEST_LINK_MS = 5 * 60_000;
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
    store: given = new MemoryStore({ clock }),
    onStoreError = "error",
    maxBytes = MAX_BYTES,
  } = options;
  const store = isExpressStore(given) ? fromExpressStore(given, clock) : given;
  const sealing = isClientSide(store) ? store.sealing() : undefined;
  if (isClientSide(store)) {
    if (options.encrypt === true) throw new TypeError("encrypt: a SealedStore encrypts all by itself; remove encrypt");
  } else if (
    typeof store?.load !== "function" ||
    typeof store.create !== "function" ||
    typeof store.update !== "function"
  ) {
    throw new TypeError("store must have load, create, update, touch, delete and close: see SessionStore");
  }
  if (onStoreError !== "error" && onStoreError !== "anonymous") {
    throw new TypeError('onStoreError must be "error" or "anonymous"');
  }
  if (!Number.isInteger(maxBytes) || maxBytes < 1) throw new TypeError("maxBytes must be a positive number of bytes");
  const secret = sealing?.secret ?? options.secret;
  const ring =
    secret === undefined
      ? undefined
      : new KeyRing(secret, { production: process.env["NODE_ENV"] === "production", warn });
  if (options.encrypt !== undefined && typeof options.encrypt !== "boolean") {
    throw new TypeError("encrypt must be true or false");
  }
  const transports = new Transports(options.transport ?? cookie(), {
    cookie: options.cookie,
    name: options.name,
    trustProxy: options.trustProxy,
    ring,
    chunks: sealing?.chunks ?? 1,
  });
  const events = new Events();
  warnOfUnsentCookies(events);
  const common = {
    clock,
    events,
    maxBytes,
    limits: timeouts(options),
    deadlines: {
      readMs: parseDuration(options.storeTimeout?.read ?? "1s", "storeTimeout.read"),
      commitMs: parseDuration(options.storeTimeout?.commit ?? "2s", "storeTimeout.commit"),
    },
    tokens: new TokenSource(),
  };
  const manager: SessionKeeper & Omit<ManagerMembers, "on"> = isClientSide(store)
    ? new SealedManager({
        ...common,
        ring: keysToSeal(ring, "a SealedStore"),
        revocations: sealing?.revocations,
        compress: sealing?.compress === true,
        overflow: sealing?.overflow,
      })
    : new SessionManager({
        ...common,
        store: options.encrypt === true ? encrypted(store, keysToSeal(ring, "encrypt")) : store,
      });
  const env = { manager, onStoreError, accept: acceptOf(options.accept ?? []) };
  const watch = new Watch(manager, events);
  const { link } = transports;
  if (link !== undefined && isClientSide(store) && sealing?.revocations === undefined) {
    throw new TypeError(
      "query() needs a store that remembers which links were used: new SealedStore({ revocations: store })",
    );
  }
  const urlTokens = link === undefined ? undefined : new UrlTokens(link, keysToSeal(ring, "query()"), manager);

  function middleware(req: IncomingMessage, res: ServerResponse, next: Next): void {
    // Mounted twice, or below another one: the first has the request.
    if (hasSession(req)) return next();
    const brought = urlTokens?.take(req);
    const channels = transports.channelsFor(req);
    const channel = answering(req, channels);
    if (channel === undefined) return next();
    const proceed: Next =
      brought === undefined || urlTokens === undefined || (req.method !== "GET" && req.method !== "HEAD")
        ? next
        : (error) => {
            if (error !== undefined) return next(error);
            // A HEAD is a program's look at a link: it must not use it up.
            const text = req.method === "GET" ? brought : "";
            urlTokens.exchange(req, res, () => exchange.session, text).catch(next);
          };
    const exchange = new Exchange(env, { req, res, next: proceed }, channels, channel);
    giveSession(req, exchange);
    exchange.begin();
  }

  return Object.defineProperties(
    Object.assign(middleware, {
      list: manager.list.bind(manager),
      revoke: manager.revoke.bind(manager),
      revokeAll: manager.revokeAll.bind(manager),
      get: manager.get.bind(manager),
      count: manager.count.bind(manager),
      prune: manager.prune.bind(manager),
      close() {
        watch.close();
        return manager.close();
      },
      async authenticateUpgrade(req: IncomingMessage, { origins }: UpgradeOptions = {}) {
        if (!isAllowedOrigin(req, origins)) return undefined;
        const carried = transports.channelsFor(req).map((channel) => ({ channel, texts: channel.read(req) }));
        const opened = await openDetached(manager, carried);
        return opened === undefined ? undefined : upgradeSession(opened, watch);
      },
      urlToken(
        userId: string,
        { expiresIn = "2m", for: client }: { expiresIn?: Duration; for?: IncomingMessage } = {},
      ) {
        if (urlTokens === undefined) throw new TypeError("urlToken needs transport: [cookie(), query(…)]");
        if (typeof userId !== "string" || userId === "") throw new TypeError("userId must be a non-empty string");
        const ms = parseDuration(expiresIn, "expiresIn");
        if (ms > LONGEST_LINK_MS) throw new TypeError('urlToken: expiresIn must be at most "5m"');
        return urlTokens.mint(userId, ms, client);
      },
      async openToken(token: string) {
        if (transports.held.length === 0) throw new TypeError("openToken needs transport: bearer() or header(name)");
        if (typeof token !== "string") return undefined;
        const opened = await openDetached(
          manager,
          transports.held.map((channel) => ({ channel, texts: [token] })),
        );
        return opened === undefined ? undefined : upgradeSession(opened, watch);
      },
      on: events.on.bind(events),
      capabilities: manager.capabilities,
    }),
    {
      name: { value: "session" },
      // Asked for each time: a store may learn what it can promise when its server first answers.
      capabilities: { get: () => manager.capabilities },
    },
  );
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

function isClientSide(store: SessionStore | ClientSideStore): store is ClientSideStore {
  return typeof store === "object" && store !== null && "sealing" in store && typeof store.sealing === "function";
}

function keysToSeal(ring: KeyRing | undefined, what: string): KeyRing {
  if (ring !== undefined) return ring;
  throw new TypeError(`${what} needs a key: set secret to at least 32 random bytes, or to several such`);
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
