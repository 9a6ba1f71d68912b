import type { ServerResponse } from "node:http";
import { canCarryCookie } from "../http/is-response.ts";

/**
 * Calls `listener` before the headers of half a response, once. Engine.IO's response for a WebSocket handshake takes a cookie this way; it
 * never ends, so there is nothing to hold.
 */
export function beforeHeadOf(res: Partial<ServerResponse> | null | undefined, listener: () => void): void {
  if (!canCarryCookie(res)) return;
  const { writeHead } = res;
  Reflect.set(res, "writeHead", (...args: unknown[]) => {
    Reflect.set(res, "writeHead", writeHead);
    listener();
    return Reflect.apply(writeHead, res, args);
  });
}
