import type { IncomingMessage } from "node:http";
import type { LiveSession } from "../session/session.ts";

/** What `req.session` and `req.sessionID` lead to. */
export interface SessionHolder {
  readonly session: LiveSession | null | undefined;
  /** `req.session = value` */
  assign(value: unknown): void;
}

const HOLDER = Symbol("session holder");
/** Those whose place another one took: only where several `session()` run for one request. */
const EARLIER = Symbol("earlier session holders");

interface Holding<Holder extends SessionHolder = SessionHolder> {
  [HOLDER]?: Holder;
  [EARLIER]?: readonly Holder[];
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
export function holderOf<Holder extends SessionHolder>(req: IncomingMessage & Holding<Holder>): Holder | undefined {
  return req[HOLDER];
}

/** Everyone who gave this request a session, the last one first. */
export function holdersOf<Holder extends SessionHolder>(req: IncomingMessage & Holding<Holder>): readonly Holder[] {
  const last = req[HOLDER];
  return last === undefined ? [] : [last, ...(req[EARLIER] ?? [])];
}

/**
 * Gives a request its `session` and `sessionID`, as properties of its own: `{ ...req }` and `Object.hasOwn` find the session, and it stays when
 * another application takes the request over and changes its prototype. The two cost 0.2 microseconds.
 */
export function giveSession(req: IncomingMessage & Holding, holder: SessionHolder): void {
  const previous = req[HOLDER];
  req[HOLDER] = holder;
  if (previous !== undefined) {
    req[EARLIER] = [previous, ...(req[EARLIER] ?? [])];
    return;
  }
  Object.defineProperty(req, "session", SESSION);
  Object.defineProperty(req, "sessionID", SESSION_ID);
}

/** Whether the application has taken `session` off the request. */
export function isSessionDeleted(req: IncomingMessage): boolean {
  return !("session" in req);
}

let hasWarned = false;

/** Whether a test, or another library, has put a session on the request already. It is left alone. */
export function hasForeignSession(req: IncomingMessage & { session?: unknown }): boolean {
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

/** Whether a value is an object literal: what can be assigned to `req.session`. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
