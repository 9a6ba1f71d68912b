import type { IncomingMessage } from "node:http";
import type { LiveSession } from "../core/session.ts";

/** Whoever has the session of one request. */
export interface SessionHolder {
  readonly session: LiveSession;
}

const HOLDER = Symbol("session holder");

/** A request that may have a session. */
export interface Holding {
  [HOLDER]?: SessionHolder;
}

/** Shared by all requests, so that giving one its session costs no closure. */
const SESSION: PropertyDescriptor & ThisType<Holding> = {
  configurable: true,
  enumerable: true,
  get(): LiveSession | undefined {
    return this[HOLDER]?.session;
  },
  set(value: unknown) {
    if (this[HOLDER] !== undefined) {
      throw new TypeError("req.session can't be replaced: use await req.session.destroy(), or regenerate()");
    }
    own(this, "session", value);
  },
};
const SESSION_ID: PropertyDescriptor & ThisType<Holding> = {
  configurable: true,
  enumerable: false,
  get(): string | undefined {
    return this[HOLDER]?.session.id;
  },
  set(value: unknown) {
    if (this[HOLDER] !== undefined) throw new TypeError("req.sessionID can't be set: await req.session.regenerate()");
    own(this, "sessionID", value);
  },
};

/** On another request of the same application, which another library gives a session. */
function own(req: Holding, name: string, value: unknown): void {
  Object.defineProperty(req, name, { value, writable: true, enumerable: true, configurable: true });
}

/** Prototypes of requests that have the accessors, themselves or from above. */
const prepared = new WeakSet<object>();

export function hasSession(req: IncomingMessage & Holding): boolean {
  return req[HOLDER] !== undefined;
}

/**
 * Gives a request its `session` and `sessionID`.
 *
 * Defining two accessors on each request would cost more than everything else that is done for one that never looks at its session. So an
 * Express application gets them once, on the prototype that all of its requests share; without a holder they read as undefined.
 */
export function giveSession(req: IncomingMessage & Holding, holder: SessionHolder): void {
  req[HOLDER] = holder;
  const prototype: object = Object.getPrototypeOf(req);
  const isShared = prepared.has(prototype) || prepare(prototype);
  if (isShared && !Object.hasOwn(req, "session")) return;
  define(req);
}

/** Puts the accessors on the prototype of an Express application's requests; `false` for any other prototype. */
function prepare(prototype: object): boolean {
  let application: object | undefined;
  // A mounted application's requests inherit from those of the one above it, which gets them back when the mounted one is done with them.
  for (let above: object | null = prototype; isOfApplication(above); above = Object.getPrototypeOf(above)) {
    application = above;
  }
  if (application === undefined) return false;
  if (!prepared.has(application)) {
    // Somebody has put their own there, perhaps another copy of this library, and relies on it.
    if (Object.hasOwn(application, "session")) return false;
    define(application);
  }
  prepared.add(application);
  prepared.add(prototype);
  return true;
}

/** Whether this is `app.request` of an Express application. */
function isOfApplication(prototype: object | null): prototype is object {
  if (prototype === null || !Object.hasOwn(prototype, "app")) return false;
  const { app } = prototype as { app?: unknown };
  return typeof app === "function" && "request" in app && app.request === prototype;
}

function define(target: object): void {
  Object.defineProperty(target, "session", SESSION);
  Object.defineProperty(target, "sessionID", SESSION_ID);
}
