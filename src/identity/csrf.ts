import type { IncomingMessage, ServerResponse } from "node:http";
import { SojournError } from "../contract/errors.ts";
import { holdersOf, markUnseen } from "../http/middleware.ts";
import { pageOfSameHost } from "../http/origin.ts";
import { pathOf } from "../http/request-path.ts";
import { ProxyTrust } from "../http/secure.ts";
import { transportOf } from "../session/content.ts";
import type { SessionEvents } from "../session/events.ts";
import { refuseUnknownOptions, textsOf } from "./options.ts";

/** Options for {@link csrf}. */
export interface CsrfOptions {
  /**
   * Origins of other sites, or of your other subdomains, whose pages may send requests that change
   * something, such as `"https://admin.example.com"`. Default: none.
   */
  trustedOrigins?: readonly string[] | undefined;
  /**
   * Refuses requests without `Sec-Fetch-Site` and `Origin`. Every browser since 2023 sends one of
   * them with a request that may change something; `curl` and other programs send neither. Default
   * `false`.
   */
  strict?: boolean | undefined;
  /**
   * Paths that any site may send requests to, such as a webhook's. `"/webhooks/stripe"` is that
   * path alone; with a slash at its end, `"/webhooks/"` is every path beneath it. A path with dot
   * segments or encoded slashes matches none. Default: none.
   */
  except?: readonly string[] | undefined;
}

type Reason = SessionEvents["cross-site"]["reason"];

/**
 * Methods that change nothing (RFC 9110 9.2.1), so that a forged one does no harm. QUERY is a GET
 * with a body: safe by its definition. Unlike a GET, no form can send it, and a script of another
 * origin only after the server has agreed by CORS.
 */
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "QUERY"]);
/** A scheme and a host, with or without a port (RFC 6454 6.2), in ASCII as browsers send it. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;
const LONGEST_ORIGIN = 300;
/** What a server may resolve to another path than the one that is written. */
const AMBIGUOUS_PATH = /(?:^|\/)\.{1,2}(?:\/|$)|\/\/|\\|%(?:2e|2f|5c)/i;

/**
 * Creates the middleware that refuses forged requests (CSRF), without tokens in forms: browsers
 * themselves tell where a request comes from. Put it below `session()`, and above whatever reads
 * bodies.
 *
 * A request passes if its method is safe (GET, HEAD, OPTIONS, QUERY), if its `Origin` is trusted,
 * or if its `Sec-Fetch-Site` is `same-origin` or `none`. Without that header, `Origin` must have the
 * request's host. A request with neither header comes from no browser, and passes unless `strict`.
 * A session whose token travels in a header needs no such check, because no page of another site
 * can add that header.
 *
 * A refused request goes to the error handler as a `SojournError` `CROSS_SITE` with status 403, and
 * causes the event `cross-site`.
 *
 * @throws TypeError for an option that can't work; the message names it and the remedy
 * @example
 * import express from "express";
 * import { session } from "sojourn";
 * import { csrf } from "sojourn/csrf";
 *
 * const app = express();
 * app.use(session());
 * app.use(csrf({ trustedOrigins: ["https://admin.example.com"] }));
 * app.use(express.urlencoded());
 */
export function csrf(
  options: CsrfOptions = {},
): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  refuseUnknownOptions("csrf", options, ["trustedOrigins", "strict", "except"]);
  const trusted = new Set(textsOf("csrf", "trustedOrigins", options.trustedOrigins ?? []).map(checkedOrigin));
  const isExcepted = matcherOf(textsOf("csrf", "except", options.except ?? []));
  const { strict = false } = options;
  if (typeof strict !== "boolean") throw new TypeError("csrf({ strict }): strict must be true or false");
  /** For requests without a session of Sojourn's: Express's setting decides. */
  const fallback = new ProxyTrust(undefined);

  function reasonToRefuse(req: IncomingMessage, trust: ProxyTrust): Reason | undefined {
    if (SAFE_METHODS.has(req.method ?? "")) return undefined;
    const { origin } = req.headers;
    if (origin !== undefined && trusted.has(origin)) return undefined;
    const site = req.headers["sec-fetch-site"] ?? "";
    if (site !== "") return site === "same-origin" || site === "none" ? undefined : "sec-fetch-site";
    if (origin === undefined || origin === "") return strict ? "no-header" : undefined;
    return isSameOrigin(req, origin, trust) ? undefined : "origin";
  }

  return function csrf(req, _res, next) {
    const holders = holdersOf(req);
    // Each session() of the request has a transport of its own.
    const byHeader = holders.length > 0 && holders.every((holder) => transportOf(holder) !== "cookie");
    if (holders.length === 0 || byHeader) markUnseen(req);
    if (byHeader) return next();
    const reason = reasonToRefuse(req, holders[0]?.parts.trust ?? fallback);
    if (reason === undefined || isExcepted(pathOf(req))) return next();
    const origin = shownOrigin(req.headers.origin);
    for (const { parts } of holders) parts.events.emit("cross-site", { reason, origin });
    next(new SojournError("CROSS_SITE", MESSAGES[reason]));
  };
}

const OTHER_SITE =
  "a page of another site sent this request; if that page is yours, add its origin to csrf({ trustedOrigins })";
const MESSAGES: Readonly<Record<Reason, string>> = {
  "sec-fetch-site": OTHER_SITE,
  origin: OTHER_SITE,
  "no-header": "the request has neither Sec-Fetch-Site nor Origin, and csrf({ strict: true }) requires one of them",
};

/** Compares the host, and the scheme where it is known: a proxy that nobody trusts may hide it. */
function isSameOrigin(req: IncomingMessage, origin: string, trust: ProxyTrust): boolean {
  const page = pageOfSameHost(req, origin, trust);
  return page !== undefined && !(page.protocol === "http:" && trust.judge(req) === true);
}

/** Returns an origin for an event: nothing but an origin of an ordinary length. */
function shownOrigin(origin: string | undefined): string | undefined {
  const isOne = origin === "null" || (origin !== undefined && origin.length <= LONGEST_ORIGIN && ORIGIN.test(origin));
  return isOne ? origin : undefined;
}

/** @throws TypeError for what no browser sends as the origin of a page */
function checkedOrigin(origin: string): string {
  const problem = problemOf(origin);
  if (problem === undefined) return origin;
  throw new TypeError(`csrf({ trustedOrigins }): ${JSON.stringify(origin)} ${problem}`);
}

function problemOf(origin: string): string | undefined {
  if (origin === "null") {
    return "is the origin of every sandboxed frame and local file, so it can't be trusted: serve the page from an origin";
  }
  if (ORIGIN.test(origin)) {
    // Other schemes than these, such as an app's, have no canonical form.
    const canonical = /^https?:/i.test(origin) && URL.canParse(origin) ? new URL(origin).origin : origin;
    return canonical === origin
      ? undefined
      : `never matches, because browsers send ${JSON.stringify(canonical)}: write that`;
  }
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(origin)) {
    return 'has no scheme: write it as "https://app.example.com"';
  }
  const { origin: bare } = URL.canParse(origin) ? new URL(origin) : { origin: "null" };
  return !ORIGIN.test(bare) || !origin.startsWith(bare)
    ? 'is no origin: write a scheme and a host, such as "https://app.example.com", without wildcards'
    : `has more than an origin: write ${JSON.stringify(bare)}`;
}

/** @throws TypeError for a path that is none */
function matcherOf(paths: readonly string[]): (path: string) => boolean {
  for (const path of paths) {
    if (!path.startsWith("/") || /[?#*]/.test(path) || AMBIGUOUS_PATH.test(path)) {
      throw new TypeError(
        `csrf({ except }): ${JSON.stringify(path)} is no plain path: write one such as "/webhooks/stripe", or "/webhooks/" for all beneath it`,
      );
    }
  }
  const exact = new Set(paths);
  const prefixes = paths.filter((path) => path.endsWith("/"));
  return (path) =>
    !AMBIGUOUS_PATH.test(path) && (exact.has(path) || prefixes.some((prefix) => path.startsWith(prefix)));
}
