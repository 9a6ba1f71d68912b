import type { IncomingMessage, ServerResponse } from "node:http";
import type { Device } from "../contract/device.ts";
import type { Capabilities } from "../session/admin.ts";
import type { SessionEvent, SessionEvents } from "../session/events.ts";
import type { ErasedSessions, ExportedSession } from "../session/personal-data.ts";
import type { SessionData } from "../session/session-data.ts";
import type { Session } from "../session/session-interface.ts";
import type { SessionSnapshot } from "../session/snapshot.ts";
import type { Duration } from "../session/timeouts.ts";
import type { TouchOptions, UpgradeOptions, UpgradeSession } from "./upgrade.ts";

/**
 * Describes what {@link session} returns: a middleware, and the management of its sessions.
 *
 * @typeParam Data - the application's data; default: what it declares in {@link SessionData}
 */
export interface Sessions<Data extends object = SessionData> {
  /** Gives a request its session. Express, Connect and the like call it: `app.use(sessions)`. */
  (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void;

  /**
   * Returns the session of a request, with the type given to `session<Data>()`. It is the same object as `req.session`. If two `session()` run for
   * one request, each returns its own.
   *
   * @throws TypeError if this middleware did not run for the request
   * @example
   * import express from "express";
   * import { session } from "sojourn";
   *
   * const app = express();
   * const sessions = session<{ views: number }>();
   * app.use(sessions);
   * app.get("/", (req, res) => {
   *   const visit = sessions.of(req);
   *   visit.views = (visit.views ?? 0) + 1;
   *   res.json({ views: visit.views });
   * });
   */
  of(req: IncomingMessage): Session<Data>;

  /**
   * Lists the sessions of a user, or of a login's `link`, the latest use first.
   *
   * @param options - `current` marks one of them as `current: true`: pass `req.session`.
   * `impersonations: true` lists those of others who impersonate the user, too
   * @throws SojournError `NO_USER_INDEX` if the store can't list a user's sessions; `STORE_…` if it
   * fails
   * @example
   * const devices = await sessions.list("alice", { current: req.session });
   */
  list(
    of: string | { link: string },
    options?: { current?: object | undefined; impersonations?: boolean | undefined },
  ): Promise<Device[]>;

  /**
   * Ends one session by its handle, with `userId` only if it is this user's. Pass `userId` whenever
   * the handle comes from a request, or `by: req.session`, which means that session's user, who
   * must have authenticated recently if `session()` has `freshFor`.
   *
   * @returns whether there was such a session
   * @throws SojournError `NOT_LOGGED_IN` or `NOT_FRESH` for the session in `by`; `STORE_…` if the
   * store fails
   * @example
   * const wasTheirs = await sessions.revoke(handle, { userId: "alice" });
   */
  revoke(handle: string, options?: { userId?: string; by?: object }): Promise<boolean>;

  /**
   * Ends all sessions of a user, and their sign-in links; or all sessions of a login's `link`.
   *
   * @param options - `except` keeps one of them: `req.session`, or a handle. `by` is the session
   * that asks, if it is not `except`: its user must have authenticated recently if `session()` has
   * `freshFor`
   * @returns how many sessions it ended
   * @throws SojournError `NO_USER_INDEX` if the store can't list a user's sessions; `NOT_LOGGED_IN`
   * or `NOT_FRESH` for the session that asks; `STORE_…` if the store fails
   * @example
   * await sessions.revokeAll("alice", { except: req.session });
   */
  revokeAll(of: string | { link: string }, options?: { except?: object | string; by?: object }): Promise<number>;

  /**
   * Reads a session outside its requests.
   *
   * @returns `undefined` if there is none
   * @throws SojournError `STORE_…` if the store fails
   * @example
   * const snapshot = await sessions.get(handle);
   * console.log(snapshot?.userId, snapshot?.data);
   */
  get(handle: string): Promise<SessionSnapshot<Data> | undefined>;

  /**
   * Counts the sessions of a user, of a login's `link`, or of all. The count of all may include
   * sessions that expired in the last minutes.
   *
   * @throws SojournError `NO_USER_INDEX` if the store can't count; `STORE_…` if it fails
   * @example
   * const visitors = await sessions.count();
   */
  count(of?: string | { link: string }): Promise<number>;

  /**
   * Deletes expired sessions from the store now. Sojourn does so about once a minute by itself.
   *
   * @param limit - the most records to delete; default 1,000
   * @returns how many it deleted
   * @throws SojournError `NO_USER_INDEX` if the store can't prune; `STORE_…` if it fails
   * @example
   * const deleted = await sessions.prune();
   */
  prune(limit?: number): Promise<number>;

  /**
   * Returns everything that the store has about a user's sessions, in full, for a request to see it
   * (GDPR, article 15). It holds no secret and no hash of one, and no `stamp`.
   *
   * @returns plain objects for `JSON.stringify`, the latest use first
   * @throws SojournError `NO_USER_INDEX` if the store can't list a user's sessions; `STORE_…` if it
   * fails
   * @example
   * const mine = await sessions.export("alice");
   */
  export(userId: string): Promise<ExportedSession[]>;

  /**
   * Ends all sessions of a user, their sign-in links, and the sessions in which they act as somebody
   * else, so that no record names them any more. Call it after you have disabled the account.
   *
   * @returns how many sessions it ended
   * @throws SojournError `NO_USER_INDEX` if the store can't list a user's sessions; `STORE_…` if it
   * fails, and may have ended only some
   * @example
   * const { sessions: ended } = await sessions.erase("alice");
   */
  erase(userId: string): Promise<ErasedSessions>;

  /**
   * Waits for writes that are under way, stops the sweep, and closes the store. Close the HTTP server first. Safe to call twice.
   *
   * @throws SojournError `STORE_…` if the store fails to close
   * @example
   * server.close(() => sessions.close());
   */
  close(): Promise<void>;

  /** What these sessions guarantee, which depends on the store. A store may learn more when its server first responds. */
  readonly capabilities: Capabilities;

  /**
   * Adds a listener to an event. A listener that throws causes a process warning and nothing else.
   *
   * @returns a function that removes the listener
   * @throws TypeError for an unknown event
   * @example
   * sessions.on("login", ({ handle, userId }) => console.log(`${userId} logged in: ${handle}`));
   */
  on<Event extends SessionEvent>(event: Event, listener: (detail: SessionEvents[Event]) => void): () => void;

  /**
   * Opens the session of a WebSocket's upgrade request, or of a request for an event stream, to
   * read it and to learn of its end. It counts as a use of the session only with `{ touch: true }`.
   *
   * @returns `undefined` if there is no session, if two transports bring different ones, or if the
   * `Origin` is another site
   * @throws SojournError `STORE_…` if the store fails
   * @example
   * import { createServer } from "node:http";
   * import { session } from "sojourn";
   * import { WebSocketServer } from "ws";
   *
   * const sessions = session();
   * const server = createServer();
   * const sockets = new WebSocketServer({ noServer: true });
   * server.on("upgrade", async (req, socket, head) => {
   *   const session = await sessions.authenticateUpgrade(req).catch(() => undefined);
   *   if (!session?.userId) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
   *   sockets.handleUpgrade(req, socket, head, (ws) => ws.on("close", session.onEnd(() => ws.close(4401))));
   * });
   */
  authenticateUpgrade(req: IncomingMessage, options?: UpgradeOptions): Promise<UpgradeSession<Data> | undefined>;

  /**
   * Opens the session of a token that arrives outside a header, such as in a WebSocket's first message. Works for tokens of `bearer()` and
   * `header(name)`.
   *
   * @returns `undefined` if the token opens none
   * @throws TypeError if the application has no such transport
   * @throws SojournError `STORE_…` if the store fails
   * @example
   * socket.once("message", async (token) => {
   *   const session = await sessions.openToken(String(token));
   *   if (session === undefined) socket.close(4401);
   * });
   */
  openToken(token: string, options?: TouchOptions): Promise<UpgradeSession<Data> | undefined>;

  /**
   * Makes a token for a link that logs a user in, once. Needs `transport: [cookie(), query(…)]`.
   *
   * @param options - `expiresIn`: how long the link works, default `"2m"`, at most `"5m"`. `for`: the request of the client that the link is for, if
   * `query` has `bind`
   * @throws TypeError if the application has no such transport, and without `for` if it has `bind`
   * @example
   * const link = `https://example.com/welcome?session=${sessions.urlToken("alice")}`;
   */
  urlToken(userId: string, options?: { expiresIn?: Duration; for?: IncomingMessage }): string;
}
