import type { IncomingMessage } from "node:http";

/** The way back to a page: a query parameter that only ever leads to this site. */

const PARAMETER = "returnTo";
/** No request goes there: addresses are read relative to it. */
const BASE = "http://localhost";

/**
 * Browsers read `\` as `/`, drop tabs and line feeds, and take `//host` for another site
 * (https://url.spec.whatwg.org/#url-parsing).
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that browsers drop
const LOCAL = /^\/(?![/\\])[^\\\u0000-\u001f\u007f]*$/;

/** A request of Express has the address from before it was routed. */
type Addressed = IncomingMessage & { originalUrl?: string };

/**
 * Returns the path that a visitor came from when {@link requireFresh} redirected them here, for a
 * redirect back. It is always a path of this site, with its query: `"/"` if there is none, or if it
 * would lead elsewhere.
 *
 * @example
 * import express from "express";
 * import { returnTo, session } from "sojourn";
 *
 * const app = express();
 * app.use(session());
 * app.get("/confirmed", (req, res) => res.redirect(303, returnTo(req)));
 */
export function returnTo(req: IncomingMessage): string {
  const address = addressOf(req);
  return localPath(address?.searchParams.get(PARAMETER));
}

/** Returns the address of a page with the way back to where the request was going. */
export function withWayBack(page: string, req: IncomingMessage): string {
  const target = new URL(page, BASE);
  const address = addressOf(req);
  target.searchParams.set(PARAMETER, localPath(address && address.pathname + address.search));
  return target.pathname + target.search + target.hash;
}

/** Returns whether text is the path of a page on this site. */
export function isLocalPath(text: string): boolean {
  if (!LOCAL.test(text) || !URL.canParse(text, BASE)) return false;
  const { origin, pathname } = new URL(text, BASE);
  // `/..//host` would become a site's name when the dots are gone.
  return origin === BASE && !pathname.startsWith("//");
}

/** Returns a path of this site in ASCII, for a header; `"/"` for anything else. */
function localPath(text: string | null | undefined): string {
  if (typeof text !== "string" || !isLocalPath(text)) return "/";
  const { pathname, search, hash } = new URL(text, BASE);
  return pathname + search + hash;
}

function addressOf(req: Addressed): URL | undefined {
  const address = req.originalUrl ?? req.url ?? "/";
  return URL.canParse(address, BASE) ? new URL(address, BASE) : undefined;
}
