import type { IncomingMessage } from "node:http";

/** Returns the client's path before mounting. Accepts absolute forms (RFC 9112 3.2.2). */
export function pathOf(req: IncomingMessage & { originalUrl?: string }): string {
  const url = req.originalUrl ?? req.url ?? "/";
  const path = url.startsWith("/") ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  return path.replace(/[?#].*$/s, "") || "/";
}
