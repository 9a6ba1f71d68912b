import type { ServerResponse } from "node:http";
import { Socket } from "node:net";

/**
 * What a held response says in its head, and what Node would refuse. Refusals are Node's own: the call is made on a
 * response that leads nowhere, so that class, code and message are those of the running Node version.
 */

// Not imported: an import gives every export a value, also those for which Node then loads an HTTP client, which takes as long as all the rest.
const http = process.getBuiltinModule("node:http");

/** Any method, whatever its overloads; called only through `Reflect.apply`. */
export type Method = (...args: never[]) => unknown;

/**
 * What `ServerResponse` and `Http2ServerResponse` have in common, as far as a hold needs it. Responses of others (frameworks' virtual
 * requests, mocks) have less: what may be missing is optional.
 */
export interface Outgoing extends Emitter {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  /** HTTP/2 only; anyone may have put something of that name on an HTTP/1.1 response. */
  readonly stream?: { close(code?: number): void };
  writeHead: Method;
  write: Method;
  end: Method;
  /** Missing in the types of HTTP/2. */
  flushHeaders?: Method;
  /** Compression's; and an old name of Node's for `flushHeaders`. */
  flush?: Method;
  /** How Node, and who imitates it, makes a head that nobody wrote. */
  _implicitHeader?: Method;
  hasHeader(name: string): boolean;
  getHeader(name: string): unknown;
  setHeader(name: unknown, value: unknown): unknown;
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

/** The stream behind an HTTP/2 response. */
export function http2Stream(response: Outgoing): Outgoing["stream"] {
  return response instanceof http.ServerResponse ? undefined : response.stream;
}

/** Whether a response is neither of Node's kinds. Node's rules don't hold for it. */
export function isForeign(response: Outgoing): boolean {
  return !(response instanceof http.ServerResponse) && typeof response.stream?.close !== "function";
}

/** The calls that send something. */
export type Call = "writeHead" | "write" | "end" | "flushHeaders" | "flush";

/** Whether a call that sends something has Node make the head by `writeHead`. */
export function impliesHead(response: Outgoing, args: readonly unknown[]): boolean {
  if (response instanceof http.ServerResponse) return true;
  return !isForeign(response) && hasChunk(args);
}

/** Whether a call of `write` or `end` brings something to send. */
export function hasChunk([chunk]: readonly unknown[]): boolean {
  return chunk !== undefined && chunk !== null && typeof chunk !== "function";
}

/** Whether nothing was said of an answer: neither its status nor its type. */
export function saysNothing(response: Outgoing): boolean {
  return response.statusCode === 200 && !response.hasHeader("content-type");
}

/** The status of an answer that reports an error: what the error says, as Express reads it, else 500. */
export function statusOf(error: unknown): number {
  const { status } = Object(error);
  return Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500;
}

/**
 * Takes in the arguments of the first `writeHead`: checks them, and merges its headers into those that were set before,
 * the newer ones winning as Node documents it. Later changes (ours included) therefore see all of them, and a repeated
 * name in an array stays repeated. Returns what is left to hand on: the status, and the reason if there was one.
 *
 * Node's own merge is not usable here: it has no nested arrays, and Node 20 keeps only the last of repeated names.
 */
export function takeHead(response: Outgoing, args: readonly unknown[]): readonly unknown[] {
  if (isForeign(response)) return args;
  const [status, reason] = args;
  const hasReason = typeof reason === "string";
  const code = assertHead(response, status, hasReason ? reason : undefined);
  mergeHeaders(response, hasReason ? args[2] : (args[2] ?? reason));
  response.statusCode = code;
  return hasReason ? [status, reason] : [status];
}

/** Throws what Node throws for a status code or reason that can't be sent; returns the code. */
export function assertHead(response: Outgoing, status: unknown, reason: string | undefined): number {
  const code = Number(status) | 0;
  if (isForeign(response)) return code;
  if (http2Stream(response) !== undefined) {
    response.statusCode = code || 200; // HTTP/2 checks it here, has no reasons, and takes none for 200
    return response.statusCode;
  }
  const phrase = reason ?? response.statusMessage;
  const isSendable = code >= 100 && code <= 999 && (!phrase || !UNSENDABLE.test(phrase));
  if (!isSendable) refuseHead([status, phrase]);
  return code;
}

// Everything but HTAB, SP, VCHAR and obs-text (RFC 9112 §4, reason-phrase).
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/;

/** Throws what Node throws for a chunk that can't be written. */
export function assertChunk(response: Outgoing, method: Call, args: readonly unknown[]): void {
  const chunk = args[0];
  if (isForeign(response)) return;
  if (typeof chunk === "string" || chunk instanceof Uint8Array) return;
  if (method === "end" ? !chunk || typeof chunk === "function" : method !== "write") return;
  if (http2Stream(response) !== undefined && ArrayBuffer.isView(chunk)) return; // HTTP/2 writes any view
  Reflect.apply(spent().write, spent(), [chunk]);
}

/** What Node refuses once headers were sent. */
type HeaderCall = "writeHead" | "setHeader" | "setHeaders" | "appendHeader" | "removeHeader";

/** Throws what Node throws when headers were sent already. */
export function refuseAsSent(response: Outgoing, method: HeaderCall, args: readonly unknown[]): never {
  // No public way makes Node throw this one without a stream of HTTP/2.
  if (http2Stream(response) === undefined) Reflect.apply(spent()[method], spent(), args);
  throw Object.assign(new Error("Response has already been initiated."), { code: "ERR_HTTP2_HEADERS_SENT" });
}

/** Properties to show instead of an object's own or inherited ones. */
export type Look = readonly (readonly [name: string, shown: PropertyDescriptor])[];

/** The look of a response whose headers were sent. */
export function sentLook(response: Outgoing): Look {
  return http2Stream(response) === undefined ? SENT_HTTP1 : SENT_HTTP2;
}

const YES: PropertyDescriptor = { value: true, writable: true, configurable: true };
const SENT_HTTP2: Look = [
  ["headersSent", YES],
  ["setHeader", refusing("setHeader")],
  ["appendHeader", refusing("appendHeader")],
  ["removeHeader", refusing("removeHeader")],
];
const SENT_HTTP1: Look = [...SENT_HTTP2, ["setHeaders", refusing("setHeaders")]];

function refusing(method: HeaderCall): PropertyDescriptor {
  function value(this: Outgoing, ...args: unknown[]): never {
    return refuseAsSent(this, method, args);
  }
  return { ...YES, value };
}

/** Gives an object a look; returns how to take it off. */
export function overlay(object: object, look: Look): () => void {
  let beneath: PropertyDescriptorMap | undefined;
  for (const [name, shown] of look) {
    const own = Object.hasOwn(object, name) && Object.getOwnPropertyDescriptor(object, name);
    if (own) beneath = { ...beneath, [name]: own };
    Object.defineProperty(object, name, shown);
  }
  return () => {
    for (const [name] of look) Reflect.deleteProperty(object, name);
    if (beneath !== undefined) Object.defineProperties(object, beneath);
  };
}

/**
 * Takes back what described an answer that isn't given after all, so that an error handler finds a response that says
 * nothing yet. What protects the client (CSP, HSTS, CORS, `Vary`) and the cookies of other modules stay.
 */
export function forgetHead(response: Outgoing): void {
  response.statusCode = 200;
  if (isForeign(response)) return;
  if (http2Stream(response) === undefined) {
    Reflect.deleteProperty(response, "statusMessage"); // back to the prototype's: Node chooses
    response.addTrailers({}); // replaces; HTTP/2 only ever adds
  }
  for (const name of DESCRIBES_AN_ANSWER) if (response.hasHeader(name)) response.removeHeader(name);
  // A lifetime meant for the answer would let a shared cache serve the error instead (RFC 9111 §3).
  const caching = response.getHeader("cache-control");
  if (caching !== undefined && !/\bno-store\b/i.test(String(caching))) response.removeHeader("cache-control");
}

const DESCRIBES_AN_ANSWER = [
  // The representation and its framing (RFC 9110 §6.6, §8, §14; RFC 9112 §6; RFC 9530).
  "content-disposition content-digest content-encoding content-language content-length content-location content-md5",
  "content-range content-type digest repr-digest etag last-modified trailer transfer-encoding accept-ranges sourcemap",
  // Where to go and what to do next (RFC 9110 §10.2, §11.6; RFC 8288).
  "allow link location refresh retry-after www-authenticate",
  // How long it may be kept (RFC 9111, RFC 9213).
  "age cdn-cache-control expires surrogate-control",
  // Orders to the browser or to the proxy in front: an error must neither erase the client's cookies nor be replaced by
  // the protected file that the failed answer named.
  "clear-site-data x-accel-expires x-accel-redirect x-lighttpd-send-file x-sendfile",
].flatMap((names) => names.split(" "));

function mergeHeaders(response: Outgoing, headers: unknown): void {
  if (typeof headers !== "object" || headers === null) return;
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (name) response.setHeader(name, copied(value));
    return;
  }
  const flat: unknown[] = Array.isArray(headers[0]) ? headers.flat() : headers;
  if (flat.length % 2 !== 0) refuseHead([200, headers]);
  const seen = new Set<string>();
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i];
    if (!name) continue;
    const key = String(name).toLowerCase();
    if (seen.has(key)) response.appendHeader(name, flat[i + 1]);
    else response.setHeader(name, copied(flat[i + 1]));
    seen.add(key);
  }
}

/** Node keeps the array that it is given and appends to it: a constant of the application's must not collect our cookies. */
function copied(value: unknown): unknown {
  return Array.isArray(value) ? [...value] : value;
}

function nowhere(): ServerResponse {
  return new http.ServerResponse(new http.IncomingMessage(new Socket()));
}

/** Arguments of `writeHead` that Node refuses, refused by Node. */
function refuseHead(args: readonly unknown[]): void {
  const response = nowhere();
  Reflect.apply(response.writeHead, response, args);
}

let spentResponse: ServerResponse | undefined;

/** A response that leads nowhere and whose headers were written. */
function spent(): ServerResponse {
  spentResponse ??= nowhere().writeHead(200);
  return spentResponse;
}

export function nothing(): void {}
