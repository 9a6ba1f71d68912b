import { type Done, promised } from "../callbacks.ts";
import type { Cookie } from "./cookie.ts";
import type { SessionData } from "./session-data.ts";

/** What a session needs of its store. Whatever has these methods is a store. */
export interface SessionStoreLike {
  get(id: string, callback: Done<SessionData | null | undefined | false>): unknown;
  set(id: string, session: SessionData, callback: Done): unknown;
  destroy(id: string, callback?: Done): unknown;
  touch?(id: string, session: SessionData, callback: Done): unknown;
  regenerate(req: SessionOwner, callback: Done): unknown;
  createSession(req: object, data: SessionData): unknown;
  /** Put there by the middleware: gives a request a new session. */
  generate(req: object): void;
  on?(event: "connect" | "disconnect", listener: () => void): unknown;
}

/** What a session needs of its request; a job or a socket has as much. */
export interface SessionOwner {
  sessionID: string;
  sessionStore: SessionStoreLike;
  session?: Session | null;
}

/**
 * `req.session`: the application's data as plain properties. With a callback a method does as express-session's does, and returns
 * the session; without one it returns a promise.
 */
export class Session {
  declare readonly id: string;
  declare readonly req: SessionOwner;
  declare cookie: Cookie;

  constructor(req: object, data?: object | null) {
    Object.defineProperty(this, "req", { value: req });
    Object.defineProperty(this, "id", { value: "sessionID" in req ? req.sessionID : undefined });
    if (typeof data !== "object" || data === null) return;
    // What is called like a method, or `__proto__`, is no data.
    for (const name in data) if (!(name in this)) Reflect.set(this, name, Reflect.get(data, name));
  }

  /** Has the session live for its full `maxAge` again, counted from now. */
  touch(): this {
    return this.resetMaxAge();
  }

  resetMaxAge(): this {
    this.cookie.maxAge = this.cookie.originalMaxAge;
    return this;
  }

  /** Writes the session to its store now. It is done at the end of a request in any case, if the session changed. */
  save(): Promise<void>;
  save(callback: Done): this;
  save(callback?: Done): this | Promise<void> {
    return promised(this, callback, (done) => this.req.sessionStore.set(this.id, this, done));
  }

  /** Reads the session from its store again, dropping unsaved changes. `req.session` is then a new object. */
  reload(): Promise<void>;
  reload(callback: Done): this;
  reload(callback?: Done): this | Promise<void> {
    const { req, id } = this;
    const store = req.sessionStore;
    return promised(this, callback, (done) =>
      store.get(id, (error, data) => {
        if (error) return done(error);
        if (!data) return done(new Error("failed to load session"));
        try {
          store.createSession(req, data);
        } catch (damaged) {
          return done(damaged);
        }
        return done();
      }),
    );
  }

  /** Ends the session: no `req.session` any more, and no record in the store. */
  destroy(): Promise<void>;
  destroy(callback: Done): this;
  destroy(callback?: Done): this | Promise<void> {
    const { req, id } = this;
    return promised(this, callback, (done) => {
      delete req.session;
      req.sessionStore.destroy(id, done);
    });
  }

  /** Ends the session, and begins an empty one under a new ID: `req.session` is then a new object. */
  regenerate(): Promise<void>;
  regenerate(callback: Done): this;
  regenerate(callback?: Done): this | Promise<void> {
    return promised(this, callback, (done) => this.req.sessionStore.regenerate(this.req, done));
  }
}

// `express-session/session/session` is the class itself.
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export default Session;
