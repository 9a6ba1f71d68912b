import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { statusOf } from "./held-headers.ts";

/** Answers a request whose session could not be saved. The response is as if nobody had answered yet. */
export type ErrorHandler = (error: unknown, req: IncomingMessage, res: ServerResponse) => void;

/** What Express puts on a request, and Connect. */
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
 * Tells of an error after `next` was called for the request: Express's routers, and Connect, go on to their error handlers. Others take a second
 * call for the end of another request, or not at all: there it is answered, or only told where the answer has left.
 */
export function failAfterNext(error: unknown, { req, res, next, router }: Passed): void {
  if (typeof router === "function") router(error);
  else if (next.name === "next" && req.originalUrl !== undefined) next(error);
  else answerFailure(error, res);
}

const told = new Set<string>();

/** The answer where no error handler can be told: the status, and nothing of what happened. */
function answerFailure(error: unknown, res: ServerResponse): void {
  const { code, name, message, headers } = Object(error);
  const kind = String(code ?? name);
  if (!told.has(kind)) {
    told.add(kind);
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
  res.end(STATUS_CODES[status] ?? String(status));
}
