import type { IncomingMessage, ServerResponse } from "node:http";
import type { Awaitable } from "../contract/store.ts";
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

/** Has the client forget another library's session. */
export function clearLegacy(res: ServerResponse, { clearing }: LegacyReader): void {
  const there = [res.getHeader("set-cookie") ?? []].flat().map(String);
  res.setHeader("Set-Cookie", [...there, ...clearing]);
}

const told = new Set<string>();

/** Puts a moved session's data into ours. A name that belongs to our sessions can't be kept. */
export function takeOver(session: object, { data }: LegacySession): void {
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
