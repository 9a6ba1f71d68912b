import { EventEmitter } from "node:events";
import { setImmediate, systemClock } from "../../contract/time.ts";
import { callable } from "./callable.ts";
import type { Cookie } from "./cookie.ts";
import type { SessionData } from "./session-data.ts";
import { Store } from "./store.ts";

let answersImmediately = false;

/**
 * Runs `work`, in which a MemoryStore calls back at once when it has written. A response that waits for its session then needs no other
 * turn of the event loop; applications are always answered on another one.
 */
export function withImmediateAnswers<T>(work: () => T): T {
  answersImmediately = true;
  try {
    return work();
  } finally {
    answersImmediately = false;
  }
}

/** Tells that something was written. */
function answer(callback: ((error?: unknown) => void) | undefined): void {
  if (!callback) return;
  if (answersImmediately) callback();
  else setImmediate(callback);
}

/** Is the class that {@link MemoryStore} makes callable without `new`. */
export class SessionsInMemory extends Store {
  /** By ID, as JSON. */
  sessions: { [id: string]: string } = Object.create(null);

  get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    setImmediate(callback, null, readFrom(this.sessions, id));
  }

  set(id: string, session: SessionData, callback?: (error?: unknown) => void): void {
    this.sessions[id] = JSON.stringify(session);
    answer(callback);
  }

  destroy(id: string, callback?: (error?: unknown) => void): void {
    delete this.sessions[id];
    answer(callback);
  }

  override all(callback?: (error: unknown, sessions?: { [id: string]: SessionData } | null) => void): void {
    const sessions: { [id: string]: SessionData } = Object.create(null);
    for (const id of Object.keys(this.sessions)) {
      const session = readFrom(this.sessions, id);
      if (session) sessions[id] = session;
    }
    if (callback) setImmediate(callback, null, sessions);
  }

  override length(callback: (error: unknown, length?: number) => void): void {
    this.all((error, sessions) => (error ? callback(error) : callback(null, Object.keys(sessions ?? {}).length)));
  }

  override clear(callback?: (error?: unknown) => void): void {
    this.sessions = Object.create(null);
    if (callback) setImmediate(callback);
  }

  /** Moves the session's end. Its data stays as it is, and an unknown session stays unknown. */
  override touch(id: string, session: SessionData, callback?: (error?: unknown) => void): void {
    const text = this.sessions[id];
    const touched = text === undefined ? undefined : withCookie(text, session.cookie);
    if (touched === undefined) delete this.sessions[id];
    else this.sessions[id] = touched;
    answer(callback);
  }
}

/** Expired and damaged sessions count as absent. A function, because a store that was made without `new` has no private methods. */
function readFrom(sessions: { [id: string]: string }, id: string): SessionData | undefined {
  const text = sessions[id];
  if (text === undefined) return undefined;
  const session = parse<SessionData>(text);
  if (session && !hasExpired(session.cookie)) return session;
  delete sessions[id];
  return undefined;
}

/** Returns a record with another cookie; `undefined` for one that has expired or is damaged. */
function withCookie(text: string, cookie: Cookie): string | undefined {
  const end = cookieEnd(text);
  const cookieText = JSON.stringify(cookie);
  if (end === undefined || cookieText === undefined) {
    const session = parse<SessionData>(text);
    return session && !hasExpired(session.cookie) ? JSON.stringify({ ...session, cookie }) : undefined;
  }
  const before = text.slice(PREFIX.length, end);
  if (before === cookieText && !hasExpired(cookie)) return text;
  const current = parse<Cookie>(before);
  return current && !hasExpired(current) ? PREFIX + cookieText + text.slice(end) : undefined;
}

const PREFIX = '{"cookie":';

/** Returns where the cookie ends in a record that begins with it, as those of all requests do. So a touch need not parse the data. */
function cookieEnd(text: string): number | undefined {
  if (!text.startsWith(`${PREFIX}{`)) return undefined;
  let depth = 0;
  let isInString = false;
  for (let at = PREFIX.length; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isInString = !isInString;
    else if (isInString) at += code === BACKSLASH ? 1 : 0;
    else if (code === OPENING) depth += 1;
    else if (code === CLOSING && --depth === 0) return at + 1;
  }
  return undefined;
}

const [QUOTE, BACKSLASH, OPENING, CLOSING] = [0x22, 0x5c, 0x7b, 0x7d];

function hasExpired(cookie: SessionData["cookie"] | undefined): boolean {
  const expires: unknown = cookie?.expires;
  if (typeof expires === "string") return Date.parse(expires) <= systemClock.now();
  return Boolean(expires) && Number(expires) <= systemClock.now();
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * Keeps sessions in the process's memory, for development. They end with the process, and expired ones stay until they are read.
 *
 * @example
 * import session, { MemoryStore } from "sojourn/express-session";
 *
 * const middleware = session({ store: new MemoryStore(), secret: "s", resave: false, saveUninitialized: false });
 */
export type MemoryStore = SessionsInMemory;
export const MemoryStore = callable(SessionsInMemory, (self) => {
  Reflect.apply(EventEmitter, self, []);
  Reflect.set(self, "sessions", Object.create(null));
});

// `express-session/session/memory` is the class itself.
// biome-ignore lint/style/noDefaultExport: it is how the original is imported.
export { MemoryStore as default, MemoryStore as "module.exports" };
