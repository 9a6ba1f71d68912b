import type { RequestHandler } from "express";

/** The pages need a stylesheet and pictures of their own, and forms that come back here. Nothing else may load or run. */
const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

export const securityHeaders: RequestHandler = (_req, res, next) => {
  res.set({
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    // "same-origin" and not "no-referrer": under the latter browsers send `Origin: null` with the site's own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  });
  next();
};

/**
 * Refuses what another site makes the visitor's browser post (CSRF). The cookie's SameSite=Lax is the first wall;
 * this is the second, and it also holds against a neighbour on the same site, such as another port of localhost.
 * Browsers say themselves where a request comes from, in headers that no page can forge (Fetch Metadata; Origin,
 * RFC 6454). A request that carries neither header comes from no browser, so it rides on nobody's cookies.
 */
export const refuseCrossSitePosts: RequestHandler = (req, _res, next) => {
  if (req.method === "GET" || req.method === "HEAD" || comesFromHere(req.headers)) return next();
  next(Object.assign(new Error("Cross-site request refused"), { status: 403 }));
};

function comesFromHere(headers: Parameters<RequestHandler>[0]["headers"]): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin" || site === "none";
  const { origin } = headers;
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === headers.host);
}
