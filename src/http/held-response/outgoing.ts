import type { ServerResponse } from "node:http";

/** Any method, whatever its overloads; called only through `Reflect.apply`. */
export type Method = (...args: never[]) => unknown;

/** The calls that send something. */
export type Call = "writeHead" | "write" | "end" | "flushHeaders" | "flush";

/** Node's two kinds of response, and those of other makers, for which Node's rules don't hold. */
export type Kind = "http1" | "http2" | "foreign";

/**
 * What `ServerResponse` and `Http2ServerResponse` have in common, as far as a hold needs it.
 * Foreign responses (frameworks' virtual requests, mocks) have less: what may be missing is
 * optional.
 */
export interface Outgoing extends Emitter {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  /** HTTP/2 only. An application may have put something of that name on an HTTP/1.1 response. */
  readonly stream?: { close(code?: number): void };
  writeHead: Method;
  write: Method;
  end: Method;
  /** Missing in the types of HTTP/2. */
  flushHeaders?: Method;
  /** Compression's; and an old name of Node's for `flushHeaders`. */
  flush?: Method;
  /** How Node, and what imitates it, makes a head that the application did not write. */
  _implicitHeader?: Method;
  hasHeader(name: string): boolean;
  getHeader(name: string): unknown;
  setHeader(name: unknown, value: unknown): unknown;
  /** HTTP/1.1 only. */
  setHeaders?: Method;
  appendHeader(name: unknown, value: unknown): unknown;
  removeHeader(name: string): unknown;
  addTrailers(trailers: Record<string, string>): unknown;
  destroy(): unknown;
}

interface Emitter {
  /** Returns the emitter, or nothing where a careless patch forgets to. */
  on(event: "drain", listener: () => void): Emitter | undefined;
  off(event: "drain", listener: () => void): unknown;
  emit(event: "drain"): boolean;
  removeAllListeners?(event: "drain"): unknown;
}

/** Whether a call of `write` or `end` brings something to send. */
export function hasChunk([chunk]: readonly unknown[]): boolean {
  return chunk !== undefined && chunk !== null && typeof chunk !== "function";
}

/** Drops a call: tells its callback why, if it has one. Returns what the caller gets. */
export function dropCall(response: Outgoing, method: Call, args: readonly unknown[], error: unknown): unknown {
  callBack(args, error);
  return deferredResult(response, method);
}

/** Returns what a caller gets whose call is made later, or dropped. */
export function deferredResult(response: Outgoing, method: Call): unknown {
  if (method === "write") return false; // wait for "drain"
  return method === "end" || method === "writeHead" ? response : undefined;
}

/** Passes an error to the callback of a call that is not made. */
export function callBack(args: readonly unknown[], error: unknown): void {
  const callback = args.findLast((arg) => typeof arg === "function");
  if (typeof callback === "function") process.nextTick(callback, error);
}

export function nothing(): void {}

const NEEDED = ["end", "writeHead", "setHeader", "getHeader"] as const;

let hasWarned = false;

/** Warns of a response that lacks methods, once in a process. */
export function warnOfMissingMethods(res: Partial<ServerResponse>): void {
  if (hasWarned) return;
  hasWarned = true;
  const missing = NEEDED.filter((name) => typeof res[name] !== "function");
  process.emitWarning(
    `the session middleware was called with a response that has no method ${missing.join(", ")}: it takes no cookie, and only req.session.save() saves such a session`,
    { code: "SOJOURN" },
  );
}
