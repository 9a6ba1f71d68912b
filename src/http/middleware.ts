import type { IncomingMessage, ServerResponse } from "node:http";
import { isPromise } from "../contract/time.ts";
import type { SessionData } from "../session/session-data.ts";
import type { Session, ValidData } from "../session/session-interface.ts";
import type { StandardSchema } from "../session/standard-schema.ts";
import { type Duration, parseDuration } from "../session/timeouts.ts";
import { openApplication } from "./application.ts";
import { isPlain } from "./assign-session.ts";
import type { TokenCarrier } from "./carrier.ts";

import "./express-request.ts";
import "./express-request-first.ts";
import { isResponse } from "./held-response.ts";
import { bringsUnknown, carriersFor, newTokenCarrier } from "./incoming-token.ts";
import { rememberInsides } from "./insides.ts";
import type { SessionOptions } from "./options.ts";
import type { Next, RequestParts } from "./request-parts.ts";
import { RequestSession } from "./request-session.ts";
import type { Sessions } from "./sessions.ts";

import { DetachedSessions, type TouchOptions, type UpgradeOptions, Watch } from "./upgrade.ts";
import { warmUpSoon } from "./warm-up.ts";
import { warnOnce } from "./warn.ts";

declare global {
  namespace Express {
    interface SojournRequests {
      sojourn: { session: Session };
    }
    interface Request {
      // Not `readonly`, although it can't be assigned: the modifiers must match express-session's.
      /** The session's handle, the same as `req.session.id`. */
      sessionID: string;
    }
  }
}

/** The longest lifetime of a sign-in link. */
const LONGEST_LINK_MS = 5 * 60_000;

/**
 * Creates the middleware that gives each request its session, for Express, Connect, or any `(req,
 * res, next)`.
 *
 * `req.session` has the type that you declare in {@link SessionData}. Without a declaration, pass
 * the type or a `schema` here, and take the session from `sessions.of(req)`.
 *
 * @typeParam Data - the application's data; default: what it declares in {@link SessionData}
 * @throws TypeError for an option that can't work; the message names it and the remedy
 * @example
 * import express from "express";
 * import { session } from "sojourn";
 *
 * const app = express();
 * const sessions = session<{ views: number }>({ idleTimeout: "30m" });
 * app.use(sessions);
 * app.get("/", (req, res) => {
 *   const visit = sessions.of(req);
 *   visit.views = (visit.views ?? 0) + 1;
 *   res.send(`You were here ${visit.views} times`);
 * });
 */
export function session<Data extends ValidData, Name extends string = string>(
  options: SessionOptions<Name> & { schema: StandardSchema<Data> },
): Sessions<Data>;
export function session<Data extends ValidData = SessionData, Name extends string = string>(
  options?: SessionOptions<Name>,
): Sessions<Data>;
export function session(options: SessionOptions = {}): Sessions {
  const { backend, admin, transports, events, parts, notes, keys, urlTokens, close } = openApplication(options);
  const watch = new Watch(backend, events);
  const detached = new DetachedSessions(backend, transports, watch, keys);
  warmUpSoon(session);

  function middleware(req: IncomingMessage, res: ServerResponse, next: Next): void {
    const above = holderOf(req);
    // If this middleware is mounted twice, the first one serves the request.
    if (above === undefined ? hasForeignSession(req) : isOf(above, parts)) return next();
    const linkToken = urlTokens?.take(req);
    let carriers: readonly TokenCarrier[];
    let isHeld: boolean;
    let counts: boolean;
    try {
      isHeld = isResponse(res);
      carriers = carriersFor(transports, req, isHeld && req.headers.upgrade === undefined);
      counts = parts.countsAsUse === undefined || checkedUse(parts.countsAsUse(req));
    } catch (error) {
      // The application's `cookie` or `countsAsUse` failed. Without a framework, nothing else catches this.
      return next(error);
    }
    const carrier = newTokenCarrier(req, carriers);
    if (carrier === undefined) return next();
    if (UNSEEN in req) return next(earlyGuard());
    const taken = above?.clashesWith(carriers);
    if (taken !== undefined) {
      return next(
        new TypeError(
          `two session() on one request both use "${taken}": give the inner one another name, session({ name }), or remove it`,
        ),
      );
    }
    const proceed: Next =
      linkToken === undefined || urlTokens === undefined || (req.method !== "GET" && req.method !== "HEAD")
        ? next
        : (error) => {
            if (error !== undefined) return next(error);
            // Programs preview links with HEAD, which must not use the link up.
            const text = req.method === "GET" ? linkToken : "";
            urlTokens.exchange(req, res, () => of(req), text).catch(next);
          };
    const request = { req, res, isHeld, counts, next: proceed };
    if (keys === undefined) return begin(parts, request, carriers, carrier);
    const preparing = keys.prepare(
      () =>
        carriers.some((one) => bringsUnknown(backend, one, one.read(req))) ||
        (linkToken !== undefined && urlTokens?.opens(linkToken, req) === false),
    );
    if (isPromise(preparing)) preparing.then(() => begin(parts, request, carriers, carrier)).catch(next);
    else begin(parts, request, carriers, carrier);
  }

  function of(req: IncomingMessage): Session {
    for (const holder of holdersOf(req)) if (isOf(holder, parts)) return holder.liveSession;
    throw new TypeError(
      "sessions.of(req): this session() did not run for this request: put app.use(sessions) above the handler, and check cookie.path",
    );
  }

  rememberInsides(middleware, { clock: backend.clock, events, notes });
  return Object.defineProperties(
    Object.assign(middleware, {
      of,
      list: admin.list.bind(admin),
      revoke: admin.revoke.bind(admin),
      revokeAll: admin.revokeAll.bind(admin),
      get: admin.get.bind(admin),
      count: admin.count.bind(admin),
      prune: admin.prune.bind(admin),
      export: admin.export.bind(admin),
      erase: admin.erase.bind(admin),
      close() {
        watch.close();
        return close();
      },
      authenticateUpgrade: (req: IncomingMessage, options: UpgradeOptions = {}) => detached.ofUpgrade(req, options),
      openToken: (token: string, options: TouchOptions = {}) => detached.ofToken(token, options),
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
      on: events.on.bind(events),
      capabilities: admin.capabilities,
    }),
    {
      name: { value: "session" },
      // A getter, because a store may learn its capabilities when its server first responds.
      capabilities: { get: () => admin.capabilities },
    },
  );
}

/** @throws TypeError for a promise, which would count as a use */
function checkedUse(counts: unknown): boolean {
  if (typeof counts === "boolean") return counts;
  throw new TypeError("countsAsUse(req) must return true or false, and no promise");
}

/** Gives a request its session, and passes it on. */
function begin(
  parts: RequestParts,
  request: ConstructorParameters<typeof RequestSession>[1],
  carriers: readonly TokenCarrier[],
  answering: TokenCarrier,
): void {
  const requestSession = new RequestSession(parts, request, carriers, answering);
  giveSession(request.req, requestSession);
  requestSession.begin();
}

const HOLDER = Symbol("session holder");
/** The earlier sessions of a request for which several `session()` run. */
const EARLIER = Symbol("earlier session holders");
/** Set by `csrf()` where it could not look at the session of a request. */
const UNSEEN = Symbol("csrf() saw no session");

interface Holding {
  [HOLDER]?: RequestSession;
  [EARLIER]?: readonly RequestSession[];
  [UNSEEN]?: true;
}

/** Shared by all requests, so that no request allocates a closure. */
const SESSION: PropertyDescriptor & ThisType<Holding> = {
  configurable: true,
  enumerable: true,
  get() {
    return this[HOLDER]?.session;
  },
  set(value: unknown) {
    this[HOLDER]?.assign(value);
  },
};
const SESSION_ID: PropertyDescriptor & ThisType<Holding> = {
  configurable: true,
  enumerable: false,
  get() {
    return this[HOLDER]?.session?.id;
  },
  set() {
    throw new TypeError("req.sessionID can't be set: call await req.session.regenerate()");
  },
};

/** Returns the session of a request; of several, the last one. */
function holderOf(req: IncomingMessage & Holding): RequestSession | undefined {
  return req[HOLDER];
}

/** @internal Returns the sessions of a request, the last one first. */
export function holdersOf(req: IncomingMessage & Holding): readonly RequestSession[] {
  const last = req[HOLDER];
  return last === undefined ? [] : [last, ...(req[EARLIER] ?? [])];
}

/** Returns whether a session is of this `session()`, or of another one with the same store. */
function isOf(holder: RequestSession, { store }: RequestParts): boolean {
  return holder.parts.store === store;
}

/** @internal Notes that `csrf()` ran before the session that a `session()` below it may give the request. */
export function markUnseen(req: IncomingMessage & Holding): void {
  req[UNSEEN] = true;
}

function earlyGuard(): TypeError {
  return new TypeError(
    "csrf() ran before session(), so it can't tell how the session's token travels: put app.use(csrf()) below app.use(sessions)",
  );
}

/**
 * Defines `session` and `sessionID` as own properties, for 0.2 microseconds. So `{ ...req }` and
 * `Object.hasOwn` find the session, and it survives another application that changes the request's
 * prototype.
 */
function giveSession(req: IncomingMessage & Holding, holder: RequestSession): void {
  const previous = req[HOLDER];
  req[HOLDER] = holder;
  if (previous !== undefined) {
    req[EARLIER] = [previous, ...(req[EARLIER] ?? [])];
    return;
  }
  Object.defineProperty(req, "session", SESSION);
  Object.defineProperty(req, "sessionID", SESSION_ID);
}

/** Returns whether a test or another library has put a session on the request. It stays. */
function hasForeignSession(req: IncomingMessage & { session?: unknown }): boolean {
  const { session } = req;
  if (session === undefined || session === null) return false;
  if (!isPlain(session)) {
    warnOnce("another library set req.session before session(), which leaves it unchanged: use one of the two");
  }
  return true;
}
