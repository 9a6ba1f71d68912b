import type { ServerResponse } from "node:http";

let isReported = false;

/**
 * Whether something is a response that can be held: it has a status, or it is a stream that gets one by `writeHead`, as Sails's virtual
 * responses do. Engine.IO's response for a WebSocket handshake has the methods but is no stream, and never ends. An object with fewer
 * methods causes one warning in a process: it takes no cookie, and nothing saves its session at the end.
 */
export function isResponse(res: Partial<ServerResponse> | null | undefined): boolean {
  const missing = METHODS.filter((name) => typeof res?.[name] !== "function");
  // Other makers' streams too: `writable` is older than Node's own classes.
  if (missing.length === 0) return typeof res?.statusCode === "number" || typeof res?.writable === "boolean";
  const isMeantAsOne = !(missing.includes("end") && missing.includes("writeHead"));
  if (isMeantAsOne && !isReported) {
    isReported = true;
    process.emitWarning(
      `the session middleware was called with a response that has no method ${missing.join(", ")}: it takes no cookie, and only req.session.save() saves such a session`,
      { code: "SOJOURN" },
    );
  }
  return false;
}

const METHODS = ["end", "writeHead", "setHeader", "getHeader"] as const;
