import type { IncomingMessage } from "node:http";
import type { ProxyTrust } from "./secure.ts";

/** A host name or an address, with or without a port. */
const HOST = /^[^\s/?#@\\]+$/;

/**
 * Returns the page of an `Origin` header if it has the host that the request asks for, and
 * `undefined` for any other page. The scheme is the caller's business.
 */
export function pageOfSameHost(req: IncomingMessage, origin: string, trust: ProxyTrust): URL | undefined {
  const page = URL.canParse(origin) ? new URL(origin) : undefined;
  const host = hostOf(req, trust);
  if (page === undefined || host === undefined || !HOST.test(host)) return undefined;
  // With the page's scheme, so that `URL` drops a default port on both sides.
  const own = `${page.protocol}//${host}`;
  return URL.canParse(own) && new URL(own).host === page.host ? page : undefined;
}

/** Returns the host that the client requested, like Express's `req.host`, also over HTTP/2. */
function hostOf(req: IncomingMessage, trust: ProxyTrust): string | undefined {
  const { headers } = req;
  const forwarded = headers["x-forwarded-host"];
  if (forwarded !== undefined && trust.trusts(req) === true) return String(forwarded).split(",")[0]?.trim();
  const authority = headers[":authority"];
  return typeof authority === "string" ? authority : headers.host;
}
