import type { ServerResponse } from "node:http";

/**
 * Whether something is a response that can be held. Upgrades and jobs come with half of one, or none: Socket.IO's for a WebSocket
 * handshake has the methods, and calls them, but no status.
 */
export function isResponse(res: Partial<ServerResponse> | null | undefined): boolean {
  return typeof res?.end === "function" && typeof res.writeHead === "function" && typeof res.statusCode === "number";
}
