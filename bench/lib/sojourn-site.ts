import { randomBytes } from "node:crypto";
import { type Session, type SessionOptions, session } from "../../src/index.ts";
import type { Awaitable, Site } from "./contender.ts";
import { enterBy, expressSite, propertyUses } from "./express-site.ts";
import type { SessionData } from "./session-data.ts";

/** Sojourn as its README has it, with a key. */
export function sojournSite(data: SessionData, options: SessionOptions, cleanUp?: () => Awaitable<unknown>): Site {
  return keylessSite(data, { secret: randomBytes(32).toString("base64url"), ...options }, cleanUp);
}

/** Without a key, if none is given: tokens have no MAC. */
export function keylessSite(
  data: SessionData,
  options: SessionOptions,
  cleanUp: () => Awaitable<unknown> = () => undefined,
): Site {
  const sessions = session(options);
  const live = (req: object) => (req as { session: Session }).session;
  return expressSite(
    [sessions],
    {
      ...propertyUses(data),
      login: (req) => live(req).login("alice"),
      enter: enterBy((req) => live(req).login("alice")),
      logout: (req) => live(req).logout(),
      increment: (req) =>
        live(req).update((session) => {
          const properties = session as unknown as Record<string, unknown>;
          properties["views"] = Number(properties["views"]) + 1;
        }),
    },
    async () => {
      await sessions.close();
      await cleanUp();
    },
  );
}
