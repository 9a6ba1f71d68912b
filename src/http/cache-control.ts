import type { ServerResponse } from "node:http";

/**
 * Keeps shared caches from giving one visitor's answer to another (RFC 9111; CVE-2023-30861). Whatever the application has said of
 * caching, it said of a page, and may not know that a session went into it.
 */

/** Headers that caches of content delivery networks obey in place of `Cache-Control` (RFC 9213, and its forerunners). */
const TARGETED = ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control", "x-accel-expires"];

/** For an answer that carries the session's token, or has the client forget it. */
export function forbidCaching(res: ServerResponse): void {
  if (!has(res, "no-store")) res.setHeader("Cache-Control", "no-store");
  dropTargeted(res);
}

/** For an answer that a session was read for. */
export function forbidSharedCaching(res: ServerResponse): void {
  dropTargeted(res);
  if (has(res, "no-store") || has(res, "private")) return;
  const kept = directives(res).filter((one) => !/^(?:public|s-maxage|proxy-revalidate)\b/i.test(one));
  res.setHeader("Cache-Control", ["private", ...kept].join(", "));
}

/** Whether the application invites shared caches to keep the answer. */
export function isPublic(res: ServerResponse): boolean {
  if (has(res, "no-store") || has(res, "private")) return false;
  return (
    directives(res).some((one) => /^(?:public\b|s-maxage|max-age *= *0*[1-9])/i.test(one)) || targets(res).length > 0
  );
}

function dropTargeted(res: ServerResponse): void {
  for (const name of targets(res)) res.removeHeader(name);
}

function targets(res: ServerResponse): string[] {
  return TARGETED.filter((name) => res.getHeader(name) !== undefined);
}

function has(res: ServerResponse, directive: string): boolean {
  return directives(res).some((one) => one.toLowerCase() === directive);
}

/** What `Cache-Control` says. A directive with field names, as `private="set-cookie"`, is another one than that without. */
function directives(res: ServerResponse): string[] {
  const value = res.getHeader("cache-control");
  if (value === undefined) return [];
  return [value]
    .flat()
    .join(",")
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);
}
