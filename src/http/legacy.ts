import type { IncomingMessage, ServerResponse } from "node:http";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import type { LiveSession } from "../session/session.ts";
import { readCookies } from "./cookies.ts";

/**
 * Reads the sessions of another library. A reader owns its cookie's name: if a request carries that cookie, Sojourn calls no other reader, even if
 * this one rejects the cookie. So a strict reader never gives way to a weaker one (CVE-2026-39324).
 */
export interface LegacyReader {
  /** The name of its cookie. */
  readonly name: string;
  /** `Set-Cookie` lines that delete the cookie. */
  readonly clearing: readonly string[];
  /** Returns the session that this request's cookie opens, or `undefined`. Rejects if that can't be found out. */
  read(req: IncomingMessage): Awaitable<LegacySession | undefined>;
}

/** Describes a session of another library that Sojourn takes over. */
export interface LegacySession {
  /** The application's data. */
  readonly data: Readonly<Record<string, unknown>>;
  /** The user who is logged in, if the application can tell. */
  readonly userId?: string | undefined;
  /** Ends the session where the other library stored it. */
  end(): Awaitable<void>;
}

/** Finds the reader whose cookie a request carries. */
export type Accept = (req: IncomingMessage) => LegacyReader | undefined;

/** @throws TypeError for readers that are none, or that share a name */
export function acceptOf(readers: readonly LegacyReader[]): Accept | undefined {
  if (!Array.isArray(readers) || !readers.every((reader) => typeof reader?.read === "function")) {
    throw new TypeError('accept must be a list of readers, such as expressSession({ … }) of "sojourn/legacy"');
  }
  if (new Set(readers.map(({ name }) => name)).size < readers.length) {
    throw new TypeError("accept: two readers have one cookie's name; nothing tells whose cookie it is");
  }
  if (readers.length === 0) return undefined;
  return (req) => readers.find(({ name }) => readCookies(req.headers.cookie, name).length > 0);
}

/** The session of another library that a request brought, on its way to becoming ours. */
export class LegacyMove {
  readonly #reader: LegacyReader;
  /** The session that is moved; absent while it has not been read. */
  session: LegacySession | undefined = undefined;
  isEnded = false;

  constructor(reader: LegacyReader) {
    this.#reader = reader;
  }

  moveTo(own: LiveSession, session: LegacySession): Awaitable<void> {
    this.session = session;
    takeOver(own, session);
    return session.userId === undefined ? undefined : own.login(session.userId);
  }

  /** Ends the other session, once ours is stored. A failure matters only to a logout: otherwise the old session expires. */
  async end(isLogout: boolean): Promise<void> {
    this.isEnded = true;
    try {
      await this.session?.end();
    } catch (error) {
      if (isLogout) throw notEnded(error);
    }
  }

  /** Has the client drop the other session's cookie. */
  clear(res: ServerResponse): void {
    const others = [res.getHeader("set-cookie") ?? []].flat().map(String);
    res.setHeader("Set-Cookie", [...others, ...this.#reader.clearing]);
  }
}

function notEnded(cause: unknown): SojournError {
  if (cause instanceof SojournError) return cause;
  return new SojournError("STORE_UNAVAILABLE", "the session of the other library could not be ended", cause);
}

const told = new Set<string>();

/** Copies the data of a moved session, without the names that belong to our sessions. */
function takeOver(session: object, { data }: LegacySession): void {
  for (const [name, value] of Object.entries(data)) {
    try {
      Reflect.set(session, name, value);
    } catch {
      if (told.has(name)) continue;
      told.add(name);
      process.emitWarning(`accept: req.session.${name} belongs to the session itself, and was not taken over`, {
        code: "SOJOURN",
      });
    }
  }
}
