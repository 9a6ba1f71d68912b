import { EventEmitter } from "node:events";
import { setImmediate, systemClock } from "../../contract/time.ts";
import { callable } from "./callable.ts";
import type { SessionData } from "./session-data.ts";
import { Store } from "./store.ts";

/** Is the class that {@link MemoryStore} makes callable without `new`. */
export class SessionsInMemory extends Store {
  /** By ID, as JSON. */
  sessions: { [id: string]: string } = Object.create(null);

  get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    setImmediate(callback, null, readFrom(this.sessions, id));
  }

  set(id: string, session: SessionData, callback?: (error?: unknown) => void): void {
    this.sessions[id] = JSON.stringify(session);
    if (callback) setImmediate(callback);
  }

  destroy(id: string, callback?: (error?: unknown) => void): void {
    delete this.sessions[id];
    if (callback) setImmediate(callback);
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
    const current = readFrom(this.sessions, id);
    if (current) {
      current.cookie = session.cookie;
      this.sessions[id] = JSON.stringify(current);
    }
    if (callback) setImmediate(callback);
  }
}

/** Expired and damaged sessions count as absent. A function, because a store that was made without `new` has no private methods. */
function readFrom(sessions: { [id: string]: string }, id: string): SessionData | undefined {
  const text = sessions[id];
  if (text === undefined) return undefined;
  const session = parse(text);
  const { expires } = session?.cookie ?? {};
  const end = typeof expires === "string" ? new Date(expires) : expires;
  if (session && !(end && end.valueOf() <= systemClock.now())) return session;
  delete sessions[id];
  return undefined;
}

function parse(text: string): SessionData | undefined {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * Keeps sessions in the process's memory, for development. They end with the process, and expired ones stay until somebody reads them.
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
