import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";

/** What a test calls its cleanup on. */
export interface Cleanup {
  after(action: () => unknown): void;
}

export type Next = (error?: unknown) => void;
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: Next) => unknown;

/** The packages themselves, to be compared with; untyped, as most of their users have them. */
export const load = createRequire(import.meta.url);

/** A library, its requests and its stores, untyped. */
export type Any = ReturnType<typeof load>;

/** A session as a handler in a test has it. */
export interface AnySession {
  [name: string]: unknown;
  id: string;
  cookie: { maxAge: unknown; expires: unknown; originalMaxAge: unknown; [name: string]: unknown };
  save(callback: (error?: unknown) => void): unknown;
  reload(callback: (error?: unknown) => void): unknown;
  destroy(callback: (error?: unknown) => void): unknown;
  regenerate(callback: (error?: unknown) => void): unknown;
}

export interface AnyRequest extends IncomingMessage {
  session?: AnySession | null;
  sessionID: string;
  sessionStore: object;
}

export function hasSession(req: IncomingMessage): asserts req is AnyRequest & { session: AnySession } {
  assert.ok("session" in req && req.session, "there is no session");
}

export interface Answer {
  status: number;
  text: string;
  setCookies: string[];
  headers: IncomingMessage["headers"];
}

export interface Client {
  port: number;
  get(path: string, headers?: Record<string, string | string[]>): Promise<Answer>;
}

/** A server on a free port, gone after the test, and how to ask it. What a handler throws is answered as Express answers it. */
export async function serve(
  t: Cleanup,
  middleware: Middleware,
  handler: (req: IncomingMessage, res: ServerResponse) => unknown,
  errors: unknown[] = [],
): Promise<Client> {
  const server = createServer((req, res) => {
    const fail = (error: unknown) => {
      errors.push(error);
      if (res.headersSent) return;
      res.statusCode = 500;
      res.end(error instanceof Error ? error.message : String(error));
    };
    // As Connect, whose `next` may be told of an error after it was called.
    Object.assign(req, { originalUrl: req.url });
    const next: Next = (error) => {
      if (error) return fail(error);
      try {
        Promise.resolve(handler(req, res)).catch(fail);
      } catch (thrown) {
        fail(thrown);
      }
    };
    try {
      middleware(req, res, next);
    } catch (thrown) {
      fail(thrown);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, get: (path, headers = {}) => get(port, path, headers) };
}

export function get(port: number, path: string, headers: Record<string, string | string[]> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: "127.0.0.1", path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          text,
          setCookies: response.headers["set-cookie"] ?? [],
          headers: response.headers,
        }),
      );
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** `name=value` of a Set-Cookie, to be sent back. */
export function pairOf(setCookie: string | undefined): string {
  assert.ok(setCookie !== undefined, "there is no cookie");
  return setCookie.split(";", 1)[0] ?? "";
}

/** Everything that a store is asked, in order, as `get apple`. Methods are looked up late, as all session middlewares do. */
export function recorded<S extends object>(store: S): { store: S; operations: string[] } {
  const operations: string[] = [];
  for (const name of ["get", "set", "touch", "destroy"]) {
    const method: unknown = Reflect.get(store, name);
    if (typeof method !== "function") continue;
    Reflect.set(store, name, (...args: unknown[]) => {
      operations.push(`${name} ${String(args[0])}`);
      return Reflect.apply(method, store, args);
    });
  }
  return { store, operations };
}
