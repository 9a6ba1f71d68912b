import type { IncomingMessage, ServerResponse } from "node:http";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import type { Session } from "../session/session-interface.ts";
import { readCookies } from "./cookies.ts";
import { warnOnce } from "./warn.ts";

/**
 * Reads the sessions of another library. A reader owns its cookie's name: if a request carries that
 * cookie, Sojourn calls no other reader, even if this one rejects the cookie. So a strict reader
 * never gives way to a weaker one (CVE-2026-39324).
 */
export interface LegacyReader {
  /** The name of its cookie. */
  readonly name: string;
  /** `Set-Cookie` lines that delete the cookie. */
  readonly clearing: readonly string[];
  /** Returns the session that this request's cookie opens, if any. Rejects if it can't find out. */
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

/** @internal Finds the reader whose cookie a request carries. */
export type Accept = (req: IncomingMessage) => LegacyReader | undefined;

/**
 * @internal Builds the lookup of readers. @throws TypeError for other values, or for two of one
 * name
 */
export function acceptOf(readers: readonly LegacyReader[]): Accept | undefined {
  if (!Array.isArray(readers) || !readers.every((reader) => typeof reader?.read === "function")) {
    throw new TypeError('accept must be a list of readers, such as expressSession({ … }) of "sojourn/legacy"');
  }
  if (new Set(readers.map(({ name }) => name)).size < readers.length) {
    throw new TypeError("accept: two readers share one cookie's name, so the cookie's owner is ambiguous");
  }
  if (readers.length === 0) return undefined;
  return (req) => readers.find(({ name }) => readCookies(req.headers.cookie, name).length > 0);
}

/** @internal Moves another library's session, which a request brought, into Sojourn. */
export class LegacyMove {
  readonly #reader: LegacyReader;
  /** The moved session; absent until it is read. */
  session: LegacySession | undefined = undefined;
  isEnded = false;

  constructor(reader: LegacyReader) {
    this.#reader = reader;
  }

  /**
   * Reads the other session, and copies it into ours.
   *
   * @param own returns our session, or `undefined` if its token can't reach the client
   */
  begin(req: IncomingMessage, own: () => Session | undefined): Awaitable<void> {
    return after(this.#reader.read(req), (session) => {
      const ours = session === undefined ? undefined : own();
      if (session === undefined || ours === undefined) return undefined;
      this.session = session;
      takeOver(ours, session);
      return session.userId === undefined ? undefined : ours.login(session.userId);
    });
  }

  /**
   * Ends the other session, once Sojourn has stored its own. Only a logout reports a failure:
   * otherwise the old session expires.
   */
  async end(isLogout: boolean): Promise<void> {
    this.isEnded = true;
    try {
      await this.session?.end();
    } catch (error) {
      if (isLogout) throw notEnded(error);
    }
  }

  /** Deletes the other session's cookie. */
  clear(res: ServerResponse): void {
    const others = [res.getHeader("set-cookie") ?? []].flat().map(String);
    res.setHeader("Set-Cookie", [...others, ...this.#reader.clearing]);
  }
}

function notEnded(cause: unknown): SojournError {
  if (cause instanceof SojournError) return cause;
  return new SojournError("STORE_UNAVAILABLE", "the session of the other library could not be ended", cause);
}

/** Copies the data of a moved session, except names that belong to Sojourn's sessions. */
function takeOver(session: object, { data }: LegacySession): void {
  for (const [name, value] of Object.entries(data)) {
    try {
      Reflect.set(session, name, value);
    } catch {
      warnOnce(`accept: req.session.${name} is a member of the session, so the old value was not copied`);
    }
  }
}
