import { AsyncLocalStorage } from "node:async_hooks";
import type { Call, Kind, Outgoing } from "./outgoing.ts";

/** Tells calls of an error handler from those of the handler whose response failed. */
const handled = new AsyncLocalStorage<Failure>();

/** A commit that failed. The response of its handler is dropped, and an error handler responds. */
export class Failure {
  readonly error: unknown;
  /** Whether the handler had ended its response. Otherwise it may go on writing. */
  readonly #wasEnded: boolean;

  constructor(error: unknown, wasEnded: boolean) {
    this.error = error;
    this.#wasEnded = wasEnded;
  }

  /** Runs the error handler. */
  handle(handler: () => void): void {
    if (this.#wasEnded) handler();
    else handled.run(this, handler);
  }

  /**
   * Whether a call comes from the handler whose response failed, which may not know that it did.
   * Before the error handler has set a status or a type, its call would send a success that wasn't
   * saved. After the error handler's response has ended, it would bring the process down.
   *
   * @param isBegun whether the error handler's response has begun to leave
   */
  isLate(response: Outgoing, method: Call, args: readonly unknown[], isBegun: boolean): boolean {
    if (isBegun) return response.writableEnded && method !== "writeHead" && method !== "flushHeaders";
    // Only an error handler sends the head of a failure.
    if (method === "writeHead" && Number(args[0]) >= 400) return false;
    return !this.#wasEnded && saysNothing(response) && handled.getStore() !== this;
  }

  /** Replaces a head that says nothing: it must not claim a success that wasn't saved. */
  headFor(response: Outgoing, args: readonly unknown[]): readonly unknown[] {
    return args[0] === 200 && saysNothing(response) ? [statusOf(this.error)] : args;
  }
}

/** Whether a response has neither a status nor a type of its own. */
function saysNothing(response: Outgoing): boolean {
  return response.statusCode === 200 && !response.hasHeader("content-type");
}

/** Returns the status for an error: what the error says, as Express reads it, else 500. */
export function statusOf(error: unknown): number {
  const { status } = Object(error);
  return Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500;
}

/** Cuts a response off, so that the client sees that it is incomplete. */
export function cutOff(response: Outgoing, kind: Kind): void {
  if (kind === "http2")
    response.stream?.close(2); // INTERNAL_ERROR, RFC 9113 §7
  else response.destroy();
}

/**
 * Removes what described a response that isn't sent after all, so that an error handler begins with
 * an empty one. What protects the client (CSP, HSTS, CORS, `Vary`) and other modules' cookies stay.
 */
export function forgetHead(response: Outgoing, kind: Kind): void {
  response.statusCode = 200;
  if (kind === "foreign") return;
  if (kind === "http1") {
    Reflect.deleteProperty(response, "statusMessage"); // back to the prototype's: Node chooses
    response.addTrailers({}); // replaces; HTTP/2 only ever adds
  }
  for (const name of DESCRIBES_A_RESPONSE) if (response.hasHeader(name)) response.removeHeader(name);
  // With a lifetime meant for the response, a shared cache would serve the error (RFC 9111 §3).
  const caching = response.getHeader("cache-control");
  if (caching !== undefined && !/\bno-store\b/i.test(String(caching))) response.removeHeader("cache-control");
}

const DESCRIBES_A_RESPONSE = [
  // The representation and its framing (RFC 9110 §6.6, §8, §14; RFC 9112 §6; RFC 9530).
  "content-disposition content-digest content-encoding content-language content-length",
  "content-location content-md5 content-range content-type digest repr-digest etag last-modified",
  "trailer transfer-encoding accept-ranges sourcemap",
  // Where to go and what to do next (RFC 9110 §10.2, §11.6; RFC 8288).
  "allow link location refresh retry-after www-authenticate",
  // How long it may be kept (RFC 9111, RFC 9213).
  "age cdn-cache-control expires surrogate-control",
  // Orders to the browser or to the proxy in front: an error must neither erase the client's
  // cookies nor be replaced by the protected file that the failed response named.
  "clear-site-data x-accel-expires x-accel-redirect x-lighttpd-send-file x-sendfile",
].flatMap((names) => names.split(" "));
