import type { IncomingMessage, ServerResponse } from "node:http";
import type { Awaitable } from "../../contract/store.ts";
import { isPromise } from "../../contract/time.ts";

/**
 * The response that Socket.IO gives to middleware for a WebSocket's handshake. Headers can be set
 * until `writeHead`, and nothing waits for a commit.
 */
type HandshakeResponse = Partial<ServerResponse> & Pick<ServerResponse, "getHeader" | "setHeader">;

/**
 * Calls `listener` when the headers of a handshake are about to leave. Returns `false` if `res` is
 * not the response of a handshake. A failure of `listener` becomes a warning: no handler could
 * catch it.
 */
export function onHandshake(res: Partial<ServerResponse> | null | undefined, listener: () => Awaitable<void>): boolean {
  if (!isHandshake(res)) return false;
  const writeHead: unknown = res.writeHead;
  res.hasHeader ??= (name) => res.getHeader(name) !== undefined;
  const replacement = function (this: unknown, ...args: unknown[]): unknown {
    Reflect.set(res, "writeHead", writeHead);
    try {
      const pending = listener();
      if (isPromise(pending)) pending.catch(warn);
    } catch (error) {
      warn(error);
    }
    return typeof writeHead === "function" ? Reflect.apply(writeHead, this, args) : undefined;
  };
  Reflect.set(res, "writeHead", replacement);
  return true;
}

function warn(error: unknown): void {
  const { code, message } = Object(error);
  process.emitWarning(`the session of a WebSocket's handshake was not saved: ${message ?? code}`, { code: "SOJOURN" });
}

function isHandshake(res: object | null | undefined): res is HandshakeResponse {
  if (res === null || res === undefined) return false;
  return ["getHeader", "setHeader", "writeHead"].every((name) => typeof Reflect.get(res, name) === "function");
}

/**
 * Returns a function that tells whether an upgrade was answered on the socket, as ws does it: by
 * what the socket has sent since. Returns `undefined` for any other request.
 */
export function upgradeWatch({ headers, socket }: Partial<IncomingMessage>): (() => boolean) | undefined {
  if (headers?.upgrade === undefined || socket === undefined) return undefined;
  const before = socket.bytesWritten;
  return () => socket.bytesWritten > before;
}
