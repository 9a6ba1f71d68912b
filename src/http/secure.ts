import type { IncomingMessage } from "node:http";

/** What of Express's application decides whom to trust. */
interface ExpressLike {
  app?: { get?: (setting: string) => unknown };
}

/**
 * Whether a request came over a secure channel: over TLS itself, or, as the nearest proxy says in `X-Forwarded-Proto`, if that proxy
 * is trusted. Of several values the last counts, which the trusted proxy added; those before it came from the client.
 */
export function isSecure(req: IncomingMessage, trustProxy: boolean | undefined): boolean {
  if (isEncrypted(req)) return true;
  const forwarded = req.headers["x-forwarded-proto"];
  if (forwarded === undefined || !isTrusted(req, trustProxy)) return false;
  const values = Array.isArray(forwarded) ? forwarded.join(",") : forwarded;
  return (
    values
      .slice(values.lastIndexOf(",") + 1)
      .trim()
      .toLowerCase() === "https"
  );
}

function isEncrypted(req: IncomingMessage): boolean {
  const socket: object | null | undefined = req.socket;
  return typeof socket === "object" && socket !== null && "encrypted" in socket && socket.encrypted === true;
}

/** By the option, else by Express's own setting "trust proxy". */
function isTrusted(req: IncomingMessage & ExpressLike, trustProxy: boolean | undefined): boolean {
  if (trustProxy !== undefined) return trustProxy;
  const trust = req.app?.get?.("trust proxy fn");
  return typeof trust === "function" && trust(req.socket?.remoteAddress, 0) === true;
}
