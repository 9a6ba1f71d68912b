import assert from "node:assert/strict";
import { once } from "node:events";
import http, { Agent, createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import express, { type ErrorRequestHandler, type Express } from "express";
import { type Session, type SessionOptions, type Sessions, session } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { parseSetCookie } from "./set-cookie.ts";

const express4: typeof express = createRequire(import.meta.url)("express4");

/** What a test calls its cleanup on. */
export interface Cleanup {
  after(action: () => unknown): void;
}

export interface SessionRequest extends IncomingMessage {
  session: Session;
  readonly sessionID: string;
}

/** What the application does with a request. What it throws or rejects with goes to the error handler. */
export type Handler = (req: SessionRequest, res: ServerResponse) => unknown;

/** The three kinds of server that the middleware is tested in. */
export const KINDS = ["node", "express4", "express5"] as const;
export type Kind = (typeof KINDS)[number];

/** What only a request below the middleware has. */
export function hasSession(req: IncomingMessage): asserts req is SessionRequest {
  assert.ok("session" in req, "the middleware did not run");
}

/** The application as a listener, for a server of any kind. Errors that reach its error handler are put into `errors`. */
export function application(
  kind: Kind,
  sessions: Sessions,
  handler: Handler,
  { errors = [], configure }: { errors?: unknown[]; configure?: ((app: Express) => void) | undefined } = {},
): RequestListener {
  if (kind === "node") {
    return (req, res) => {
      const answerError = (error: unknown) => answerWith(errors, error, res);
      sessions(req, res, (error?: unknown) => {
        if (error === undefined) run(handler, req, res, answerError);
        else answerError(error);
      });
    };
  }
  const app = kind === "express4" ? express4() : express();
  app.set("env", "test");
  configure?.(app);
  app.use(sessions);
  app.use((req, res, next) => run(handler, req, res, next));
  const note: ErrorRequestHandler = (error, _req, _res, next) => {
    errors.push(error);
    next(error);
  };
  app.use(note);
  return app;
}

/** What the plain server answers with an error. */
function answerWith(errors: unknown[], error: unknown, res: ServerResponse): void {
  errors.push(error);
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const { status = 500, headers = {} } = Object(error);
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  res.writeHead(status, headers);
  res.end(error instanceof Error ? error.name : "error");
}

function run(handler: Handler, req: IncomingMessage, res: ServerResponse, fail: (error: unknown) => void): void {
  try {
    hasSession(req);
    Promise.resolve(handler(req, res)).catch(fail);
  } catch (error) {
    fail(error);
  }
}

export interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  setCookies: string[];
  text: string;
  /** `false` if the connection ended before the response did. */
  complete: boolean;
}

export interface Site {
  port: number;
  clock: ManualClock;
  sessions: Sessions;
  /** What reached the error handler. */
  errors: unknown[];
  /** A visitor with no cookies yet. */
  visitor(): Visitor;
}

export interface SiteOptions extends SessionOptions {
  kind?: Kind;
  configure?: (app: Express) => void;
}

/** A real server on a free port of 127.0.0.1, gone after the test. */
export async function site(
  t: Cleanup,
  { kind = "node", configure, ...options }: SiteOptions,
  handler: Handler,
): Promise<Site> {
  const clock = options.clock instanceof ManualClock ? options.clock : new ManualClock();
  const errors: unknown[] = [];
  // A plain server can't be told by `next` of what happens after it was called.
  const onError = kind === "node" && {
    onError: (error: unknown, _req: unknown, res: ServerResponse) => answerWith(errors, error, res),
  };
  const sessions = session({ ...onError, ...options, clock });
  const { port, visitor } = await listen(
    t,
    createServer(application(kind, sessions, handler, { errors, configure })),
    sessions,
  );
  return { port, clock, sessions, errors, visitor };
}

/** Starts a server on a free port of 127.0.0.1 and closes it, and its sessions, after the test. */
export async function listen(
  t: Cleanup,
  server: http.Server,
  sessions: { close(): Promise<void> },
): Promise<{ port: number; visitor(): Visitor }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const agent = new Agent({ keepAlive: true });
  t.after(async () => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    await sessions.close();
  });
  const { port } = address;
  return { port, visitor: () => new Visitor(port, agent) };
}

/** A browser, as far as its cookies go. */
export class Visitor {
  readonly cookies = new Map<string, string>();
  readonly #port: number;
  readonly #agent: Agent;

  constructor(port: number, agent: Agent) {
    this.#port = port;
    this.#agent = agent;
  }

  /** The session's token, under whichever name it travels. */
  get token(): string | undefined {
    return this.cookies.get("sid") ?? this.cookies.get("__Host-sid");
  }

  /** Another browser with the same cookies. */
  clone(): Visitor {
    const other = new Visitor(this.#port, this.#agent);
    for (const [name, value] of this.cookies) other.cookies.set(name, value);
    return other;
  }

  get(path = "/", headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.request("GET", path, headers);
  }

  post(path = "/", headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.request("POST", path, headers);
  }

  async request(method: string, path: string, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const req = http.request({
      host: "127.0.0.1",
      port: this.#port,
      agent: this.#agent,
      method,
      path,
      headers: { ...(cookie !== "" && { cookie }), ...headers },
    });
    req.end();
    const [res]: [IncomingMessage] = await waitForResponse(req);
    res.setEncoding("utf8");
    let text = "";
    const complete = await new Promise<boolean>((resolve) => {
      res.on("data", (chunk) => {
        text += chunk;
      });
      res.on("error", () => resolve(false));
      res.on("close", () => resolve(res.complete));
    });
    const setCookies = res.headers["set-cookie"] ?? [];
    for (const line of setCookies) this.#keep(line);
    return { status: res.statusCode ?? 0, headers: res.headers, setCookies, text, complete };
  }

  #keep(line: string): void {
    const { name, value, attributes } = parseSetCookie(line);
    if (attributes.get("max-age") === "0") this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}

function waitForResponse(req: http.ClientRequest): Promise<[IncomingMessage]> {
  return new Promise((resolve, reject) => {
    req.on("response", (res) => resolve([res]));
    req.on("error", reject);
  });
}
