import type { ServerResponse } from "node:http";

let isReported = false;

/**
 * Whether something is a response that can be held: it has a status, or it is a stream that gets one by `writeHead`, as Sails's virtual
 * responses do. Engine.IO's response for a WebSocket handshake has the methods but is no stream, and never ends. Such half of a response
 * causes one warning in a process, because nothing saves its session at the end.
 */
export function isResponse(res: Partial<ServerResponse> | null | undefined): boolean {
  if (canCarryCookie(res) && typeof res.end === "function") {
    // Other makers' streams too: `writable` is older than Node's own classes.
    if (typeof res.statusCode === "number" || typeof res.writable === "boolean") return true;
  }
  if (typeof res?.end === "function" || typeof res?.writeHead === "function") report();
  return false;
}

/** Whether a cookie can be added to a response before its headers leave. */
export function canCarryCookie(
  res: Partial<ServerResponse> | null | undefined,
): res is Partial<ServerResponse> & Pick<ServerResponse, "writeHead" | "setHeader" | "getHeader"> {
  return (
    typeof res?.writeHead === "function" && typeof res.setHeader === "function" && typeof res.getHeader === "function"
  );
}

function report(): void {
  if (isReported) return;
  isReported = true;
  process.emitWarning(
    "the session middleware was called with an incomplete response, such as that of a WebSocket handshake: nothing saves such a session at the end, so call req.session.save()",
    { code: "SOJOURN" },
  );
}
