import type { ServerResponse } from "node:http";

let isReported = false;

/**
 * Whether something is a response that can be held: it has a status, or it is a stream that gets one by `writeHead`, as Sails's virtual
 * responses do. Engine.IO's response for a WebSocket handshake has the methods but is no stream, and never ends. An object with fewer
 * methods causes one warning in a process: it takes no cookie, and nothing saves its session at the end.
 */
export function isResponse(res: Partial<ServerResponse> | null | undefined): boolean {
  const isHalf = typeof res?.end === "function" || typeof res?.writeHead === "function";
  if (canCarryCookie(res)) {
    // Other makers' streams too: `writable` is older than Node's own classes.
    return typeof res.end === "function" && (typeof res.statusCode === "number" || typeof res.writable === "boolean");
  }
  if (isHalf && !isReported) {
    isReported = true;
    process.emitWarning(
      "the session middleware was called with an object that lacks methods of a response (end, writeHead, setHeader, getHeader): no cookie is sent, and only req.session.save() saves such a session",
      { code: "SOJOURN" },
    );
  }
  return false;
}

/** Whether a cookie can be added before the headers leave. */
export function canCarryCookie(
  res: Partial<ServerResponse> | null | undefined,
): res is Partial<ServerResponse> & Pick<ServerResponse, "writeHead" | "setHeader" | "getHeader"> {
  return (
    typeof res?.writeHead === "function" && typeof res.setHeader === "function" && typeof res.getHeader === "function"
  );
}
