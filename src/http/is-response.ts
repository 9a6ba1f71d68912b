import type { ServerResponse } from "node:http";

let isReported = false;

/**
 * Whether something is a response that can be held: it has a status, or it is a stream that gets one by `writeHead`, as Sails's virtual
 * responses do. Engine.IO's response for a WebSocket handshake has the methods but is no stream, and never ends. An object with fewer
 * methods causes one warning in a process: it takes no cookie, and nothing saves its session at the end.
 */
export function isResponse(res: Partial<ServerResponse> | null | undefined): boolean {
  const isComplete =
    typeof res?.end === "function" &&
    typeof res.writeHead === "function" &&
    typeof res.setHeader === "function" &&
    typeof res.getHeader === "function";
  // Other makers' streams too: `writable` is older than Node's own classes.
  if (isComplete) return typeof res.statusCode === "number" || typeof res.writable === "boolean";
  if (typeof res?.end === "function" || typeof res?.writeHead === "function") report(res);
  return false;
}

const METHODS = ["end", "writeHead", "setHeader", "getHeader"] as const;

function report(res: Partial<ServerResponse>): void {
  if (isReported) return;
  isReported = true;
  const missing = METHODS.filter((name) => typeof res[name] !== "function");
  process.emitWarning(
    `the session middleware was called with a response that has no method ${missing.join(", ")}: it takes no cookie, and only req.session.save() saves such a session`,
    { code: "SOJOURN" },
  );
}
