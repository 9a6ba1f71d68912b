import type { IncomingMessage, ServerResponse } from "node:http";
import { statusOf } from "./held-response/failure.ts";
import { nodeHttp } from "./held-response/head.ts";

/** Responds to a request whose session could not be saved. The response is empty again. */
export type ErrorHandler = (error: unknown, req: IncomingMessage, res: ServerResponse) => void;

/** What Express and Connect put on a request. */
interface Routed {
  next?: unknown;
  originalUrl?: string;
}

/** Returns the `next` of the Express router that a request is in; `undefined` elsewhere. */
export function routerOf(req: IncomingMessage & Routed): unknown {
  return req.next;
}

/** A request that `next` was called for. */
interface Passed {
  req: IncomingMessage & Routed;
  res: ServerResponse;
  next: (error?: unknown) => void;
  /** See {@link routerOf}. */
  router: unknown;
}

/**
 * Reports an error after `next` was called for the request. Express's routers, and Connect, go on to
 * their error handlers. Other frameworks take a second call of `next` for the end of another
 * request, or ignore it: there the response is a bare status, if it has not left.
 */
export function failAfterNext(error: unknown, { req, res, next, router }: Passed): void {
  if (typeof router === "function") router(error);
  else if (next.name === "next" && req.originalUrl !== undefined) next(error);
  else answerFailure(error, res);
}

const warned = new Set<string>();

/** Responds where there is no error handler: with the status, and no word of what happened. */
function answerFailure(error: unknown, res: ServerResponse): void {
  const { code, name, message, headers } = Object(error);
  const kind = String(code ?? name);
  if (!warned.has(kind)) {
    warned.add(kind);
    process.emitWarning(
      `a session could not be saved, and the request was answered with ${statusOf(error)}: ${message}. Give session({ onError }) to answer it yourself`,
      { code: "SOJOURN" },
    );
  }
  if (res.headersSent) return;
  const status = statusOf(error);
  res.statusCode = status;
  for (const [header, value] of Object.entries(Object(headers))) res.setHeader(header, String(value));
  res.setHeader("Content-Type", "text/plain; charset=utf-8");
  res.end(nodeHttp().STATUS_CODES[status] ?? String(status));
}
