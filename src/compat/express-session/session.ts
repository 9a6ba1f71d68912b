import { type Done, promised } from "../callbacks.ts";
import type { Cookie } from "./cookie.ts";
import type { SessionData } from "./session-data.ts";

/** Is what a session needs of its store. Any object with these methods is a store. */
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

/** Is what a session needs of its request. A job or a socket can have as much. */
export interface SessionOwner {
  sessionID: string;
  sessionStore: SessionStoreLike;
  session?: Session | null;
}

/**
 * Is `req.session`: the application's data as plain properties. With a callback, a method behaves as that of express-session and returns the session.
 * Without one it returns a promise.
 *
 * @example
 * import express from "express";
 * import session from "sojourn/express-session";
 *
 * const app = express();
 * app.use(session({ secret: "s", resave: false, saveUninitialized: false }));
 * app.post("/logout", async (req, res) => {
 *   await req.session.destroy();
 *   res.redirect("/");
 * });
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

  /** Restarts the session's `maxAge`, from now. */
  touch(): this {
    return this.resetMaxAge();
  }

  /** Restarts the session's `maxAge`, from now, as {@link touch}. */
  resetMaxAge(): this {
    this.cookie.maxAge = this.cookie.originalMaxAge;
    return this;
  }

  /** Saves the session now. A changed session is saved at the end of the request in any case. */
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

  /** Ends the session: deletes `req.session`, and its record in the store. */
  destroy(): Promise<void>;
  destroy(callback: Done): this;
  destroy(callback?: Done): this | Promise<void> {
    const { req, id } = this;
    return promised(this, callback, (done) => {
      delete req.session;
      req.sessionStore.destroy(id, done);
    });
  }

  /** Ends the session and begins an empty one with a new ID. `req.session` is then a new object. */
  regenerate(): Promise<void>;
  regenerate(callback: Done): this;
  regenerate(callback?: Done): this | Promise<void> {
    return promised(this, callback, (done) => this.req.sessionStore.regenerate(this.req, done));
  }
}

// `express-session/session/session` is the class itself.
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export { Session as default, Session as "module.exports" };
