import { randomBytes } from "node:crypto";
import type { Request, RequestHandler } from "express";
import type { Awaitable, Site } from "./contender.ts";
import { enterBy, expressSite, propertyUses, sessionOf } from "./express-site.ts";
import { load } from "./peer.ts";
import type { SessionData } from "./session-data.ts";

type Done = (error?: unknown) => void;
interface Session {
  regenerate(done: Done): void;
  destroy(done: Done): void;
}
interface Settings {
  secret: string;
  resave: boolean;
  saveUninitialized: boolean;
  /** A store of its own kind. */
  store?: object;
}
/** express-session, or what takes its place. */
export type ExpressSession = (settings: Settings) => RequestHandler;

const original: ExpressSession = load("express-session");

/** express-session over one of its stores (its own MemoryStore by default), as its README advises. */
export function expressSessionSite(
  data: SessionData,
  store?: object,
  close: () => Awaitable<unknown> = () => undefined,
  expressSession = original,
): Site {
  const secret = randomBytes(32).toString("base64url");
  const settings = { secret, resave: false, saveUninitialized: false };
  const live = (req: object) => (req as { session: Session }).session;
  const login = (req: Request) =>
    new Promise<void>((resolve, reject) =>
      live(req).regenerate((error) => {
        if (error) return reject(error);
        sessionOf(req)["userId"] = "alice";
        resolve();
      }),
    );
  return expressSite(
    [expressSession(store === undefined ? settings : { ...settings, store })],
    {
      ...propertyUses(data),
      login,
      enter: enterBy(login),
      logout: (req) =>
        new Promise<void>((resolve, reject) => live(req).destroy((error) => (error ? reject(error) : resolve()))),
    },
    close,
  );
}
