import type { IncomingMessage, ServerResponse } from "node:http";
import { type AuthenticationMethod, checkedMethods } from "../session/authentication.ts";
import { authenticationOf, isFresh, type Wanted } from "../session/freshness.ts";
import { challengeOf, impersonatingError } from "../session/refusals.ts";
import { openedBy } from "../session/session.ts";
import { type Duration, parseDuration } from "../session/timeouts.ts";
import { isLocalPath, withWayBack } from "./return-to.ts";

/** Options for {@link requireFresh}. */
export interface RequireFreshOptions {
  /** How long ago the user may have authenticated, such as `"10m"`. */
  within: Duration;
  /** How the user must have authenticated then: by all of these. Default: by any means. */
  methods?: readonly AuthenticationMethod[] | undefined;
  /**
   * A path of this site where a browser's page view goes instead, such as `"/confirm"`. It gets the
   * way back in its query; {@link returnTo} reads it. Default: such requests get 401, too.
   */
  redirect?: string | undefined;
}

/** Is a middleware for Express, Connect, or anything that calls `(req, res, next)`. */
export type FreshnessGuard = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

const NO_SESSION =
  "requireFresh: there is no session of Sojourn on this request: put app.use(sessions) above it, and check cookie.path";

/**
 * Creates a middleware that lets only users pass who have authenticated recently, by a login or by
 * `req.session.confirm()`. It belongs before what changes a password, an address or a payment.
 *
 * Somebody who impersonates the user never passes: that is the error `IMPERSONATING`, with 403.
 * Anyone else gets 401 with `application/problem+json` and the challenge of RFC 9470, or is
 * redirected. Methods are not part of the challenge: it can only name authentication contexts,
 * which they are not.
 *
 * @throws TypeError for an option that can't be
 * @example
 * import express from "express";
 * import { requireFresh, session } from "sojourn";
 *
 * const app = express();
 * app.use(session());
 * app.post("/login", async (req, res) => {
 *   await req.session.login("alice", { methods: ["pwd"] });
 *   res.end();
 * });
 * app.post("/email", requireFresh({ within: "10m" }), (req, res) => {
 *   res.send("Changed");
 * });
 */
export function requireFresh(options: RequireFreshOptions): FreshnessGuard {
  const { within, methods, redirect } = options;
  const wanted: Wanted = {
    // Not `false`, which means "for ever" elsewhere.
    withinMs: parseDuration(within || 0, "requireFresh({ within })"),
    methods: checkedMethods(methods, "requireFresh"),
  };
  if (redirect !== undefined && (typeof redirect !== "string" || !isLocalPath(redirect))) {
    throw new TypeError('requireFresh({ redirect }): redirect must be a path of this site, such as "/confirm"');
  }
  return (req: IncomingMessage & { session?: unknown }, res, next) => {
    const { session } = req;
    const opened = openedBy(session);
    // An application may have set `req.session = null`, which ends the session.
    if (opened === undefined && session !== null) return next(new TypeError(NO_SESSION));
    if (opened !== undefined && isFresh(authenticationOf(opened.state), wanted, opened.context.parts.clock.now())) {
      return next();
    }
    if (opened?.state.content.meta.actor !== undefined) return next(impersonatingError("requireFresh"));
    res.setHeader("Cache-Control", "no-store");
    if (redirect !== undefined && isNavigation(req)) {
      res.statusCode = 303;
      res.setHeader("Location", withWayBack(redirect, req));
      res.end();
      return;
    }
    refuse(res, wanted.withinMs, opened?.state.record.userId ?? null);
  };
}

function refuse(res: ServerResponse, withinMs: number, userId: string | null): void {
  const problem = {
    type: "about:blank",
    title: "Unauthorized",
    status: 401,
    detail: userId === null ? "A login is required." : "A more recent login, or another kind of it, is required.",
    code: userId === null ? "NOT_LOGGED_IN" : "NOT_FRESH",
  };
  res.statusCode = 401;
  res.setHeader("WWW-Authenticate", challengeOf(withinMs));
  res.setHeader("Content-Type", "application/problem+json");
  res.end(JSON.stringify(problem));
}

/**
 * Returns whether a browser requests a page, which a redirect can lead elsewhere: by Fetch Metadata,
 * which scripts can't forge, or else by what it accepts.
 */
function isNavigation({ method, headers }: IncomingMessage): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  const mode = headers["sec-fetch-mode"];
  return mode === undefined ? /(?:^|,)\s*text\/html\b/i.test(headers.accept ?? "") : mode === "navigate";
}
