import type { IncomingMessage, ServerResponse } from "node:http";
import type { Events } from "../session/events.ts";
import type { LiveSession } from "../session/session.ts";
import { type Duration, parseDuration } from "../session/timeouts.ts";
import { type ManagerMembers, openApplication } from "./application.ts";
import type { Channel } from "./channel.ts";
import { Exchange, type Next } from "./exchange.ts";
import "./express-request.ts";
import "./express-request-first.ts";
import { isResponse } from "./is-response.ts";
import type { SessionOptions } from "./options.ts";
import { giveSession, hasForeignSession, holderOf } from "./request-session.ts";
import { answering } from "./transports.ts";
import { DetachedSessions, type TouchOptions, type UpgradeOptions, type UpgradeSession, Watch } from "./upgrade.ts";

/** A connect-style middleware that is also the manager of its sessions. */
export interface Sessions extends ManagerMembers {
  /** Adds a listener; returns how to remove it. */
  on: Events["on"];
  (req: IncomingMessage, res: ServerResponse, next: Next): void;
  /**
   * The session of a WebSocket's upgrade request, or of one whose answer is a stream of events: to be read, and to be told of its end.
   * `undefined` where there is none, where two transports brought different ones, and where the `Origin` is another site's. It rejects where
   * the store can't be asked. Does not count as a use of the session unless you say `{ touch: true }`.
   * @example
   * server.on("upgrade", async (req, socket, head) => {
   *   const session = await sessions.authenticateUpgrade(req).catch(() => undefined);
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
  openToken(token: string, options?: TouchOptions): Promise<UpgradeSession | undefined>;
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

/** How long a link may sign in. */
const LONGEST_LINK_MS = 5 * 60_000;

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
  const { manager, transports, events, env, urlTokens } = openApplication(options);
  const watch = new Watch(manager, events);
  const detached = new DetachedSessions(manager, transports, watch);

  function middleware(req: IncomingMessage, res: ServerResponse, next: Next): void {
    const above = holderOf<Exchange>(req);
    // Mounted twice: the first has the request.
    if (above === undefined ? hasForeignSession(req) : above.isOf(env)) return next();
    const brought = urlTokens?.take(req);
    let channels: readonly Channel[];
    let isHeld: boolean;
    try {
      isHeld = isResponse(res);
      channels = transports.channelsFor(req, isHeld && req.headers.upgrade === undefined);
    } catch (error) {
      // The application's function for `cookie` threw, or gave what no cookie can have. Where there is no framework, nobody would catch that.
      return next(error);
    }
    const channel = answering(req, channels);
    if (channel === undefined) return next();
    const taken = above?.clashesWith(channels);
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
            urlTokens.exchange(req, res, () => exchange.liveSession, text).catch(next);
          };
    const exchange = new Exchange(env, { req, res, isHeld, next: proceed }, channels, channel);
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
      capabilities: manager.capabilities,
    }),
    {
      name: { value: "session" },
      // Asked for each time: a store may learn what it can promise when its server first answers.
      capabilities: { get: () => manager.capabilities },
    },
  );
}
