import { assertIndexable, type Done, promised } from "../callbacks.ts";
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

/** What a method does to a session; it calls back when that is done. */
export type Work = (this: Session, done: Done) => unknown;
const METHODS = ["save", "reload", "destroy", "regenerate"] as const;
export type Method = (typeof METHODS)[number];

/** A request that its session's methods go through, so that it knows what they did. */
export interface MethodListener {
  /** @param work what the method does without this request */
  run(method: Method, session: Session, work: Work, done: Done): void;
}

/** What leads from a session to its request, and what its methods do without that. */
interface Link {
  readonly listener: MethodListener;
  readonly works: Readonly<Record<Method, Work>>;
}

const LINK: unique symbol = Symbol("sojourn.link");

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
  /** @internal */
  declare readonly [LINK]?: Link;

  constructor(req: object, data?: object | null) {
    Object.defineProperty(this, "req", { value: req });
    Object.defineProperty(this, "id", { value: "sessionID" in req ? req.sessionID : undefined });
    if (typeof data === "object" && data !== null) copyData(this, data);
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
    return promised(this, callback, (done) => run(this, "save", done));
  }

  /** Reads the session from its store again, dropping unsaved changes. `req.session` is then a new object. */
  reload(): Promise<void>;
  reload(callback: Done): this;
  reload(callback?: Done): this | Promise<void> {
    return promised(this, callback, (done) => run(this, "reload", done));
  }

  /** Ends the session: deletes `req.session`, and its record in the store. */
  destroy(): Promise<void>;
  destroy(callback: Done): this;
  destroy(callback?: Done): this | Promise<void> {
    return promised(this, callback, (done) => run(this, "destroy", done));
  }

  /** Ends the session and begins an empty one with a new ID. `req.session` is then a new object. */
  regenerate(): Promise<void>;
  regenerate(callback: Done): this;
  regenerate(callback?: Done): this | Promise<void> {
    return promised(this, callback, (done) => run(this, "regenerate", done));
  }
}

/** Copies what is no method's name, and not `__proto__`. Inherited properties count, as in the original. */
function copyData(session: Session, data: object): void {
  assertIndexable(session);
  assertIndexable(data);
  for (const name in data) if (!(name in session)) session[name] = data[name];
}

const WORKS: Readonly<Record<Method, Work>> = {
  save(done) {
    this.req.sessionStore.set(this.id, this, done);
  },
  reload(done) {
    const { req, id } = this;
    const store = req.sessionStore;
    store.get(id, (error, data) => {
      if (error) return done(error);
      if (!data) return done(new Error("failed to load session"));
      try {
        store.createSession(req, data);
      } catch (damaged) {
        return done(damaged);
      }
      return done();
    });
  },
  destroy(done) {
    const { req, id } = this;
    delete req.session;
    req.sessionStore.destroy(id, done);
  },
  regenerate(done) {
    this.req.sessionStore.regenerate(this.req, done);
  },
};

function run(session: Session, method: Method, done: Done): void {
  const link = session[LINK];
  if (link === undefined) WORKS[method].call(session, done);
  else link.listener.run(method, session, link.works[method], done);
}

/**
 * Links a session to a request. A session of another class gets the methods of this one: its store
 * may have been written for another copy of express-session.
 */
export function linkSession(session: Session, listener: MethodListener): void {
  const works = isOfThisClass(session) ? WORKS : (session[LINK]?.works ?? adopt(session));
  // Hidden, as the application's copies of a session must not take it along.
  Object.defineProperty(session, LINK, { value: { listener, works }, configurable: true, writable: true });
}

function isOfThisClass(session: object): boolean {
  return session instanceof Session;
}

/** A prototype of another class's sessions with this class's methods, and that class's own. */
interface Adoption {
  readonly prototype: object;
  readonly works: Link["works"];
}

const adoptions = new WeakMap<object, Adoption>();

/** Puts this class's methods before those of a session of another class; returns the latter. */
function adopt(session: Session): Link["works"] {
  if (METHODS.some((name) => Object.hasOwn(session, name))) {
    const works = worksOf(session);
    Object.defineProperties(session, OWN_METHODS);
    return works;
  }
  const theirs: object = Object.getPrototypeOf(session);
  let adoption = adoptions.get(theirs);
  if (adoption === undefined) {
    adoption = { prototype: Object.create(theirs, OWN_METHODS), works: worksOf(session) };
    adoptions.set(theirs, adoption);
  }
  Object.setPrototypeOf(session, adoption.prototype);
  return adoption.works;
}

const OWN_METHODS = Object.fromEntries(
  METHODS.map((name) => [name, { value: Session.prototype[name], configurable: true, writable: true }]),
);

function worksOf({ save, reload, destroy, regenerate }: Session): Link["works"] {
  return { save, reload, destroy, regenerate };
}

// `express-session/session/session` is the class itself.
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export { Session as default, Session as "module.exports" };
