import type { Request, RequestHandler, Response } from "express";
import type { SessionStore, Sessions } from "sojourn";
import type { Audit } from "./audit.ts";
import type { User, Users } from "./users.ts";

// What this site keeps in a session; `req.session` is typed by it everywhere.
declare module "sojourn" {
  interface SessionData {
    cart: string[];
    views: number;
    /** A login whose password was right, and that waits for a free place among the user's devices. */
    pending: { userId: string; remember: boolean; until: number };
  }
}

/** For a form that was opened while the password was fresh. */
export const TIME_TO_FILL_IN = "15m";

/** What the site works with: `server.ts` opens the real ones. */
export interface Parts {
  sessions: Sessions;
  /** Whose records /compare shows; none where sessions live in their cookies. */
  store: SessionStore | undefined;
  users: Users;
  audit: Audit;
  /** How long a password counts as entered just now, in milliseconds. */
  freshFor: number;
}

/** Renders a page with what all pages show: who is signed in, how full the cart is, and messages left for it. */
export function show(req: Request, res: Response, view: string, data: object = {}): void {
  const messages = { success: req.session.flash("success"), error: req.session.flash("error") };
  res.set("Cache-Control", "no-store"); // or "back" would bring the page up again after signing out
  res.render(view, { path: req.path, session: req.session, messages, ...data });
}

/** Finds out who is signed in, and who really acts, for the handlers and for each page's top. */
export function knowUser({ users }: Parts): RequestHandler {
  return (req, res, next) => {
    const { userId, actor } = req.session;
    res.locals.user = userId === null ? undefined : users.withId(userId);
    res.locals.acting = actor && { ...actor, email: users.withId(actor.userId)?.email };
    next();
  };
}

function userOf(res: Response): User | undefined {
  return res.locals.user;
}

/** A handler that runs for people who are signed in, and asks all others to do so. */
export function forUsers(handler: (req: Request, res: Response, user: User) => void | Promise<void>): RequestHandler {
  return async (req, res) => {
    const user = userOf(res);
    if (user) return await handler(req, res, user);
    req.session.flash("error", "Sign in to see your account.");
    res.redirect(303, "/login");
  };
}

/** A form that someone who is signed in has no use for. */
export function forStrangers(view: string): RequestHandler {
  return (req, res) => (userOf(res) ? res.redirect(303, "/account") : show(req, res, view));
}

/** A form's field as text. Absent, repeated and unparsed ones are all the empty string. */
export function field(req: Request, name: string): string {
  const value: unknown = req.body?.[name];
  return typeof value === "string" ? value : "";
}

export function countView(req: Request): void {
  req.session.views = (req.session.views ?? 0) + 1;
}

export function notFound(): Error {
  return Object.assign(new Error("Not found"), { status: 404 });
}
