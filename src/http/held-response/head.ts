import type { ServerResponse } from "node:http";
import type { Call, Kind, Outgoing } from "./outgoing.ts";

/**
 * The headers given to `writeHead`, and what Node refuses. Refusals are Node's own: the call is
 * made on a response that leads nowhere, so class, code and message are those of the running Node.
 */

/**
 * Returns Node's HTTP. It is not imported: a process that has a response has loaded it, and one that
 * starts need not. An import would also load an HTTP client, to which one of its exports leads.
 */
export function nodeHttp(): typeof import("node:http") {
  return process.getBuiltinModule("node:http");
}

/**
 * Takes in the arguments of the first `writeHead`: checks them, and merges its headers into those
 * that were set before, so that later changes see all of them. Returns what remains to be passed
 * on: the status, and the reason if there was one.
 */
export function takeHead(response: Outgoing, kind: Kind, args: readonly unknown[]): readonly unknown[] {
  if (kind === "foreign") return args;
  const [status, reason] = args;
  const hasReason = typeof reason === "string";
  const code = assertHead(response, kind, status, hasReason ? reason : undefined);
  mergeHeaders(response, hasReason ? args[2] : (args[2] ?? reason));
  response.statusCode = code;
  return hasReason ? [status, reason] : [status];
}

/** Throws what Node throws for a status or reason that can't be sent; returns the status code. */
export function assertHead(response: Outgoing, kind: Kind, status: unknown, reason?: string): number {
  const code = Number(status) | 0;
  if (kind === "foreign") return code;
  if (kind === "http2") {
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

/**
 * Merges the headers of a `writeHead` into those that were set before. The newer ones win, as Node
 * documents it, and a name that is repeated in an array stays repeated.
 *
 * Node's own merge has no nested arrays, and Node 20 keeps only the last of repeated names.
 */
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

/** Node keeps an array and appends to it: an application's constant must not collect cookies. */
function copied(value: unknown): unknown {
  return Array.isArray(value) ? [...value] : value;
}

/** Throws what Node throws for arguments of `writeHead` that it refuses. */
function refuseHead(args: readonly unknown[]): void {
  const response = nowhere();
  Reflect.apply(response.writeHead, response, args);
}

/** Throws what Node throws for a chunk that can't be written. */
export function assertChunk(kind: Kind, method: Call, chunk: unknown): void {
  if (kind === "foreign" || typeof chunk === "string" || chunk instanceof Uint8Array) return;
  if (method === "end" ? !chunk || typeof chunk === "function" : method !== "write") return;
  if (kind === "http2" && ArrayBuffer.isView(chunk)) return; // HTTP/2 writes any view
  Reflect.apply(spent().write, spent(), [chunk]);
}

/** What Node refuses once headers were sent. */
export type HeaderCall = "writeHead" | "setHeader" | "setHeaders" | "appendHeader" | "removeHeader";

/** Throws what Node throws when headers were sent already. */
export function refuseAsSent(kind: Kind, method: HeaderCall, args: readonly unknown[]): never {
  // No public way makes Node throw this one without a stream of HTTP/2.
  if (kind !== "http2") Reflect.apply(spent()[method], spent(), args);
  throw Object.assign(new Error("Response has already been initiated."), { code: "ERR_HTTP2_HEADERS_SENT" });
}

function nowhere(): ServerResponse {
  const { IncomingMessage, ServerResponse } = nodeHttp();
  const { Socket } = process.getBuiltinModule("node:net");
  return new ServerResponse(new IncomingMessage(new Socket()));
}

let spentResponse: ServerResponse | undefined;

/** A response that leads nowhere and whose headers were written. */
function spent(): ServerResponse {
  spentResponse ??= nowhere().writeHead(200);
  return spentResponse;
}
