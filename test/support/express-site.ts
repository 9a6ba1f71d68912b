import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { createServer } from "node:http";
import express, { type NextFunction, type Request, type Response } from "express";
import { type SessionOptions, type Sessions, session } from "../../src/index.ts";
import { Client, type Reply, type Sent } from "./client.ts";

/** What a test calls its cleanup on: a test, or a suite's `{ after }`. */
export interface Cleanup {
  after(action: () => unknown): void;
}

/** Which client's request the server is working for at this moment, so that a store can tell whose call it gets. */
export const caller = new AsyncLocalStorage<string>();

/** No deadline is what these tests are about, and a busy machine must not fail them. */
export const PATIENT = { read: "10m", commit: "10m" } as const;

export interface Site {
  readonly port: number;
  readonly sessions: Sessions;
  /** Errors that reached the error handler, in order. */
  readonly errors: unknown[];
  send(path: string, sent?: Sent): Promise<Reply>;
  /** Resolves when the server has got the next request of this caller. */
  begins(as: string): Promise<void>;
}

/**
 * A real Express application behind a real server on a free port. `routes` come after the sessions; what fails is answered
 * with its status and code.
 */
export async function startSite(
  t: Cleanup,
  options: SessionOptions,
  routes: (app: express.Express, sessions: Sessions) => void,
): Promise<Site> {
  const app = express();
  const sessions = session(options);
  const errors: unknown[] = [];
  const awaited = new Map<string, () => void>();
  app.use((req, _res, next) => {
    const as = String(req.headers["x-caller"] ?? "");
    awaited.get(as)?.();
    caller.run(as, next);
  });
  app.use(sessions);
  routes(app, sessions);
  app.use((error: Error & { status?: number; code?: string }, _req: Request, res: Response, _next: NextFunction) => {
    errors.push(error);
    res.status(error.status ?? 500).json({ code: error.code ?? `${error.name}: ${error.message}` });
  });
  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    client.close();
    server.close();
    server.closeAllConnections();
    await sessions.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on no port");
  const { port } = address;
  const client = new Client(port);
  return {
    port,
    sessions,
    errors,
    send: (path, sent) => client.send(path, sent),
    begins: (as) => new Promise((resolve) => awaited.set(as, resolve)),
  };
}

/** One property of a session, as data whose type nobody declared. */
export function peek(session: object, name: string): unknown {
  return Reflect.get(session, name);
}

export function put(session: object, name: string, value: unknown): void {
  Reflect.set(session, name, value);
}

export function increment(session: object, name = "n"): void {
  put(session, name, Number(peek(session, name) ?? 0) + 1);
}
