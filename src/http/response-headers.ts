import type { ServerResponse } from "node:http";

/**
 * Keeps shared caches from sending one visitor's response to another (RFC 9111; CVE-2023-30861).
 * The application's own `Cache-Control` may not take into account that a session went into the
 * page.
 */

/** Headers that CDN caches obey instead of `Cache-Control` (RFC 9213, and its forerunners). */
const TARGETED = ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control", "x-accel-expires"];

/** Forbids caching of a response that sets or clears the session's token. */
export function forbidCaching(res: ServerResponse): void {
  if (!FORBIDDEN.test(cacheControlOf(res))) res.setHeader("Cache-Control", "no-store");
  dropTargeted(res);
}

/** Forbids shared caching of a response whose request read a session. */
export function forbidSharedCaching(res: ServerResponse): void {
  dropTargeted(res);
  const value = cacheControlOf(res);
  if (value === "") res.setHeader("Cache-Control", "private");
  else if (!UNSHARED.test(value)) {
    const kept = value.split(",").filter((one) => !SHARED_ONLY.test(one));
    res.setHeader("Cache-Control", ["private", ...kept.map((one) => one.trim()).filter(Boolean)].join(", "));
  }
}

/** Returns whether the application invites shared caches to store the response. */
export function isPublic(res: ServerResponse): boolean {
  const value = cacheControlOf(res);
  return !UNSHARED.test(value) && (INVITING.test(value) || TARGETED.some((name) => has(res, name)));
}

// A directive with field names, such as `private="set-cookie"`, means something else.
const FORBIDDEN = /(?:^|,)[ \t]*no-store[ \t]*(?:,|$)/i;
const UNSHARED = /(?:^|,)[ \t]*(?:no-store|private)[ \t]*(?:,|$)/i;
const SHARED_ONLY = /^[ \t]*(?:public|s-maxage|proxy-revalidate)\b/i;
const INVITING = /(?:^|,)[ \t]*(?:public\b|s-maxage|max-age[ \t]*=[ \t]*"?0*[1-9])/i;

// Lower-case names throughout: Node has to convert any other one at each lookup.
function cacheControlOf(res: ServerResponse): string {
  const value = res.getHeader("cache-control");
  return typeof value === "string" ? value : value === undefined ? "" : [value].flat().join(",");
}

function dropTargeted(res: ServerResponse): void {
  for (const name of TARGETED) if (has(res, name)) res.removeHeader(name);
}

/** Avoids `hasHeader`, which responses other than Node's may lack. */
function has(res: ServerResponse, name: string): boolean {
  return res.getHeader(name) !== undefined;
}

/** Adds a request header to the response's `Vary`. */
export function addVary(res: ServerResponse, name: string): void {
  const names = withName(res.getHeader("vary"), name);
  // A `*` covers every header.
  if (names !== undefined && !names.includes("*")) res.setHeader("Vary", names.join(", "));
}

/**
 * Lets a page of another origin read a response header. With credentials a `*` exposes nothing, so
 * this adds the name beside it.
 */
export function exposeHeader(res: ServerResponse, name: string): void {
  const names = withName(res.getHeader("access-control-expose-headers"), name);
  if (names !== undefined) res.setHeader("Access-Control-Expose-Headers", names.join(", "));
}

/** Returns a header's names with the new one; `undefined` if the header lists it already. */
function withName(there: unknown, name: string): string[] | undefined {
  if (there === undefined) return [name];
  const names = String(there)
    .split(",")
    .flatMap((one) => one.trim() || []);
  const isThere = names.some((one) => one.toLowerCase() === name.toLowerCase());
  return isThere ? undefined : [...names, name];
}
