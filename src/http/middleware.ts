import type { IncomingMessage, ServerResponse } from "node:http";
import type { SessionData } from "../session/session-data.ts";
import type { Session, ValidData } from "../session/session-interface.ts";
import { type Duration, parseDuration } from "../session/timeouts.ts";
import { openApplication } from "./application.ts";
import type { TokenCarrier } from "./carrier.ts";

import "./express-request.ts";
import "./express-request-first.ts";
import { answering, carriersFor } from "./incoming-token.ts";
import { isResponse } from "./is-response.ts";
import type { SessionOptions } from "./options.ts";
import { isPlain, type Next, RequestSession } from "./request-session.ts";
import type { Sessions } from "./sessions.ts";

import { DetachedSessions, type TouchOptions, type UpgradeOptions, Watch } from "./upgrade.ts";

declare global {
  namespace Express {
    interface SojournRequests {
      sojourn: { session: Session };
    }
    interface Request {
      // Not `readonly`, though it can't be assigned to: modifiers have to be those of other declarations, as express-session's.
      /** The session's handle, the same as `req.session.id`. */
      sessionID: string;
    }
  }
}

/** How long a link may sign in. */
const LONGEST_LINK_MS = 5 * 60_000;

/**
 * Creates the middleware that gives each request its session, for Express, Connect, or any `(req, res, next)`.
 *
 * `req.session` has the type that you declare in {@link SessionData}. Without a declaration, pass the type here, and take the session from
 * `sessions.of(req)`.
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
export function session<Data extends ValidData = SessionData, Name extends string = string>(
  options?: SessionOptions<Name>,
): Sessions<Data>;
export function session(options: SessionOptions = {}): Sessions {
  const { backend, admin, transports, events, parts, urlTokens, close } = openApplication(options);
  const watch = new Watch(backend, events);
  const detached = new DetachedSessions(backend, transports, watch);

  function middleware(req: IncomingMessage, res: ServerResponse, next: Next): void {
    const above = holderOf(req);
    // Mounted twice: the first has the request.
    if (above === undefined ? hasForeignSession(req) : above.isOf(parts)) return next();
    const brought = urlTokens?.take(req);
    let carriers: readonly TokenCarrier[];
    let isHeld: boolean;
    try {
      isHeld = isResponse(res);
      carriers = carriersFor(transports, req, isHeld && req.headers.upgrade === undefined);
    } catch (error) {
      // The application's function for `cookie` threw, or gave what no cookie can have. Where there is no framework, nobody would catch that.
      return next(error);
    }
    const carrier = answering(req, carriers);
    if (carrier === undefined) return next();
    const taken = above?.clashesWith(carriers);
    if (taken !== undefined) {
      return next(
        new TypeError(
          `two session() on one request both use "${taken}": give the inner one a name of its own, session({ name }), or leave it out`,
        ),
      );
    }
    const proceed: Next =
      brought === undefined || urlTokens === undefined || (req.method !== "GET" && req.method !== "HEAD")
        ? next
        : (error) => {
            if (error !== undefined) return next(error);
            // A HEAD is a program's look at a link: it must not use it up.
            const text = req.method === "GET" ? brought : "";
            urlTokens.exchange(req, res, () => requestSession.liveSession, text).catch(next);
          };
    const requestSession = new RequestSession(parts, { req, res, isHeld, next: proceed }, carriers, carrier);
    giveSession(req, requestSession);
    requestSession.begin();
  }

  return Object.defineProperties(
    Object.assign(middleware, {
      of(req: IncomingMessage) {
        for (const holder of holdersOf(req)) if (holder.isOf(parts)) return holder.liveSession;
        throw new TypeError(
          "sessions.of(req): this session() has not run for this request: put app.use(sessions) above the handler, and see cookie.path",
        );
      },
      list: admin.list.bind(admin),
      revoke: admin.revoke.bind(admin),
      revokeAll: admin.revokeAll.bind(admin),
      get: admin.get.bind(admin),
      count: admin.count.bind(admin),
      prune: admin.prune.bind(admin),
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
      // Asked for each time: a store may learn what it can promise when its server first answers.
      capabilities: { get: () => admin.capabilities },
    },
  );
}

const HOLDER = Symbol("session holder");
/** Those whose place another one took: only where several `session()` run for one request. */
const EARLIER = Symbol("earlier session holders");

interface Holding {
  [HOLDER]?: RequestSession;
  [EARLIER]?: readonly RequestSession[];
}

/** Shared by all requests, so that giving one its session costs no closure. */
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
    throw new TypeError("req.sessionID can't be set: await req.session.regenerate()");
  },
};

/** Whoever gave this request its session, if that was one of ours. */
function holderOf(req: IncomingMessage & Holding): RequestSession | undefined {
  return req[HOLDER];
}

/** Everyone who gave this request a session, the last one first. */
function holdersOf(req: IncomingMessage & Holding): readonly RequestSession[] {
  const last = req[HOLDER];
  return last === undefined ? [] : [last, ...(req[EARLIER] ?? [])];
}

/**
 * Gives a request its `session` and `sessionID`, as properties of its own: `{ ...req }` and `Object.hasOwn` find the session, and it stays when
 * another application takes the request over and changes its prototype. The two cost 0.2 microseconds.
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

let hasWarned = false;

/** Whether a test, or another library, has put a session on the request already. It is left alone. */
function hasForeignSession(req: IncomingMessage & { session?: unknown }): boolean {
  const { session } = req;
  if (session === undefined || session === null) return false;
  if (!isPlain(session) && !hasWarned) {
    hasWarned = true;
    process.emitWarning(
      "req.session was there before session(), set by another library, and is left alone: use one of the two",
      { code: "SOJOURN" },
    );
  }
  return true;
}
