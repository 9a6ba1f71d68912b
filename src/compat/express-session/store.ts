import { EventEmitter } from "node:events";
import { once } from "../callbacks.ts";
import { callable } from "./callable.ts";
import { Cookie } from "./cookie.ts";
import { Session, type SessionOwner, type SessionStoreLike } from "./session.ts";
import type { SessionData } from "./session-data.ts";

/** Is the class that {@link Store} makes callable without `new`. A store's author writes only `get`, `set` and `destroy`. */
export abstract class BaseStore extends EventEmitter implements SessionStoreLike {
  abstract get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void;
  abstract set(id: string, session: SessionData, callback?: (error?: unknown) => void): void;
  abstract destroy(id: string, callback?: (error?: unknown) => void): void;
  all?(callback: (error: unknown, sessions?: SessionData[] | { [id: string]: SessionData } | null) => void): void;
  length?(callback: (error: unknown, length?: number) => void): void;
  clear?(callback?: (error?: unknown) => void): void;
  touch?(id: string, session: SessionData, callback?: (error?: unknown) => void): void;
  /** Put on the store by the middleware: gives a request a new session. */
  declare generate: (req: object) => void;

  /** Ends the request's session and gives it a new one, whether or not the old one's end could be stored. */
  regenerate(req: Pick<SessionOwner, "sessionID">, callback: (error?: unknown) => unknown): void {
    this.destroy(
      req.sessionID,
      once((error) => {
        this.generate(req);
        callback(error);
      }),
    );
  }

  /** A session outside of any request: for sockets and jobs. */
  load(id: string, callback: (error?: unknown, session?: Session & SessionData) => unknown): void {
    this.get(
      id,
      once<SessionData | null>((error, data) => {
        if (error) return callback(error);
        if (!data) return callback();
        return callback(null, this.createSession({ sessionID: id, sessionStore: this }, data));
      }),
    );
  }

  /** Makes a stored session the request's. `data` is changed: its `cookie` becomes a `Cookie`. */
  createSession(req: object, data: SessionData): Session & SessionData {
    const expires = data.cookie.expires;
    const originalMaxAge = data.cookie.originalMaxAge;
    data.cookie = new Cookie(data.cookie);
    // As it comes out of JSON.
    if (typeof expires === "string") data.cookie.expires = new Date(expires);
    data.cookie.originalMaxAge = originalMaxAge;
    const session = new Session(req, data);
    assertHolds(session, data);
    Reflect.set(req, "session", session);
    return session;
  }
}

/** A session that was made of some data has its properties: tells the compiler. */
function assertHolds<D>(_session: Session, _data: D): asserts _session is Session & D {}

/**
 * Is the base class of stores for express-session and this drop-in.
 *
 * @example
 * import { type SessionData, Store } from "sojourn/express-session";
 *
 * export class MapStore extends Store {
 *   readonly sessions = new Map<string, SessionData>();
 *
 *   get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
 *     callback(null, this.sessions.get(id));
 *   }
 *   set(id: string, session: SessionData, callback?: (error?: unknown) => void): void {
 *     this.sessions.set(id, session);
 *     callback?.();
 *   }
 *   destroy(id: string, callback?: (error?: unknown) => void): void {
 *     this.sessions.delete(id);
 *     callback?.();
 *   }
 * }
 */
export type Store = BaseStore;
export const Store = callable(BaseStore, (self) => Reflect.apply(EventEmitter, self, []));

// `express-session/session/store` is the class itself.
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export { Store as default, Store as "module.exports" };
