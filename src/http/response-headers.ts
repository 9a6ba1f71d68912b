import type { ServerResponse } from "node:http";

/**
 * Keeps shared caches from giving one visitor's answer to another (RFC 9111; CVE-2023-30861). Whatever the application has said of
 * caching, it said of a page, and may not know that a session went into it.
 */

/** Headers that caches of content delivery networks obey in place of `Cache-Control` (RFC 9213, and its forerunners). */
const TARGETED = ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control", "x-accel-expires"];

/** For an answer that carries the session's token, or has the client forget it. */
export function forbidCaching(res: ServerResponse): void {
  if (!FORBIDDEN.test(said(res))) res.setHeader("Cache-Control", "no-store");
  dropTargeted(res);
}

/** For an answer that a session was read for. */
export function forbidSharedCaching(res: ServerResponse): void {
  dropTargeted(res);
  const value = said(res);
  if (value === "") res.setHeader("Cache-Control", "private");
  else if (!UNSHARED.test(value)) {
    const kept = value.split(",").filter((one) => !SHARED_ONLY.test(one));
    res.setHeader("Cache-Control", ["private", ...kept.map((one) => one.trim()).filter(Boolean)].join(", "));
  }
}

/** Whether the application invites shared caches to keep the answer. */
export function isPublic(res: ServerResponse): boolean {
  const value = said(res);
  return !UNSHARED.test(value) && (INVITING.test(value) || TARGETED.some((name) => has(res, name)));
}

// A directive with field names, as `private="set-cookie"`, is another one than that without.
const FORBIDDEN = /(?:^|,)[ \t]*no-store[ \t]*(?:,|$)/i;
const UNSHARED = /(?:^|,)[ \t]*(?:no-store|private)[ \t]*(?:,|$)/i;
const SHARED_ONLY = /^[ \t]*(?:public|s-maxage|proxy-revalidate)\b/i;
const INVITING = /(?:^|,)[ \t]*(?:public\b|s-maxage|max-age[ \t]*=[ \t]*"?0*[1-9])/i;

function said(res: ServerResponse): string {
  const value = res.getHeader("cache-control");
  return typeof value === "string" ? value : value === undefined ? "" : [value].flat().join(",");
}

function dropTargeted(res: ServerResponse): void {
  for (const name of TARGETED) if (has(res, name)) res.removeHeader(name);
}

/** Responses that are not Node's own may have no `hasHeader`. */
function has(res: ServerResponse, name: string): boolean {
  return res.getHeader(name) !== undefined;
}

/** Adds a request header to those that the response depends on. */
export function addVary(res: ServerResponse, name: string): void {
  const names = addName(res, "Vary", name);
  // Whatever depends on everything depends on this, too.
  if (names !== undefined && !names.includes("*")) res.setHeader("Vary", names.join(", "));
}

/** Lets a page of another origin read a response header. A `*` is no header of all where a request has credentials, so the name stands beside it. */
export function exposeHeader(res: ServerResponse, name: string): void {
  const names = addName(res, "Access-Control-Expose-Headers", name);
  if (names !== undefined) res.setHeader("Access-Control-Expose-Headers", names.join(", "));
}

/** The names that a header lists, and this one; `undefined` if it is among them already. */
function addName(res: ServerResponse, header: string, name: string): string[] | undefined {
  const there = res.getHeader(header);
  if (there === undefined) return [name];
  const names = String(there)
    .split(",")
    .flatMap((one) => one.trim() || []);
  const isThere = names.some((one) => one.toLowerCase() === name.toLowerCase());
  return isThere ? undefined : [...names, name];
}
