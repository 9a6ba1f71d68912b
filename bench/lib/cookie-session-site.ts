import { randomBytes } from "node:crypto";
import type { RequestHandler } from "express";
import type { Site } from "./contender.ts";
import { enterBy, expressSite, propertyUses } from "./express-site.ts";
import type { SessionData } from "./session-data.ts";

/** cookie-session, or a library that takes its place. */
export type CookieSession = (options: { name: string; keys: string[] }) => RequestHandler;

interface WithSession {
  session: Record<string, unknown> | null;
}

/** An application with cookie-session, as its README advises. */
export function cookieSessionSite(data: SessionData, cookieSession: CookieSession): Site {
  const keys = [randomBytes(32).toString("base64url")];
  const login = (req: object) => {
    (req as WithSession).session = { userId: "alice" };
  };
  return expressSite([cookieSession({ name: "session", keys })], {
    ...propertyUses(data),
    login,
    enter: enterBy(login),
    logout(req: object) {
      (req as WithSession).session = null;
    },
  });
}
