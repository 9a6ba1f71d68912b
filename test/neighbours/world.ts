import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type RequestListener, request, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Packages as their users load them, Sojourn among them: packed, and untyped. */
export const load = createRequire(import.meta.url);

/** What another library gives, or is given. Its types are no dependency of ours. */
export type Any = ReturnType<typeof load>;

/** What a test calls its cleanup on. */
export interface Cleanup {
  after(action: () => unknown): void;
}

/** Opens a session middleware, closed after the test. */
export type Open = (t: Cleanup, options?: object) => Any;

const SECRET = "0123456789abcdef0123456789abcdef";
// Loaded before any test begins: some of them replace the timers.
const { MemoryStore, session } = load("sojourn");
const { SqliteStore } = load("sojourn/sqlite");
const original = load("express-session");
const replacement = load("sojourn/express-session");
const newExpress = load("express");

/** `session()` on each kind of store: what answers at once, what answers at once but commits later, what always answers later. */
export const natives: Record<string, Open> = {
  "in memory": (t, options) => native(t, new MemoryStore(), options),
  "on SQLite": (t, options) => native(t, new SqliteStore(join(folder(t), "sessions.db")), options),
  "on a distant store": (t, options) => native(t, distant(new MemoryStore()), options),
};

/** Sojourn's drop-in, for what people use express-session with. */
const dropIn: Open = (_t, options) => replacement({ ...LIKE_OTHERS, ...options });

/** All of ours, and express-session itself, by which a test shows that it asks for nothing new. */
export const kinds: Record<string, Open> = {
  ...natives,
  "as the drop-in": dropIn,
  "by express-session": (_t, options) => original({ ...LIKE_OTHERS, ...options }),
};

const LIKE_OTHERS = { secret: "keyboard cat", resave: false, saveUninitialized: false };

/** `session()` over a store. */
export function native(t: Cleanup, store: Any, options: object = {}): Any {
  const sessions = session({ secret: SECRET, store, ...options });
  t.after(() => inTime(sessions.close(), "the sessions could not be closed"));
  return sessions;
}

function folder(t: Cleanup): string {
  const made = mkdtempSync(join(tmpdir(), "sojourn-neighbours-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

// A test may replace the global one.
const immediately = setImmediate;

/** Some turns of the event loop: as long as a server on the same machine takes. */
export async function aWhile(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => immediately(resolve));
}

/** A store that behaves as one behind a network: every call takes a while on its way there, and on its way back. */
export function distant(store: Any): Any {
  return new Proxy(store, {
    get(target, name) {
      if (name === "synchronousLoad") return false;
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        await aWhile();
        const result = await Reflect.apply(value, target, args);
        await aWhile();
        return result;
      };
    },
  });
}

/** Longer than anything here takes. */
const TIMEOUT_MS = 5_000;

/** For what is hung by a fault, so that it is told of. */
export function inTime<T>(work: Promise<T>, otherwise: string): Promise<T> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  return new Promise((resolve, reject) => {
    timeout.addEventListener("abort", () => reject(new Error(otherwise)));
    work.then(resolve, reject);
  });
}

export interface Answer {
  status: number;
  text: string;
  headers: IncomingHttpHeaders;
  setCookies: string[];
}

export interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Called with everything that came so far, whenever more comes. */
  onText?: (text: string) => void;
}

/** A browser, as far as its cookies go. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly port: number;

  constructor(port: number) {
    this.port = port;
  }

  /** Another visitor of the same site. */
  stranger(): Browser {
    return new Browser(this.port);
  }

  get cookie(): string {
    return cookieHeader(this.cookies);
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask(path, { headers });
  }

  async json(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const all = { "content-type": "application/json", ...headers };
    return this.ask(path, { method: "POST", headers: all, body: JSON.stringify(body) });
  }

  /** Rejects if there is no whole answer. */
  async ask(path: string, { method = "GET", headers = {}, body, onText }: Asked = {}): Promise<Answer> {
    const { cookie } = this;
    const req = request({
      host: "127.0.0.1",
      port: this.port,
      path,
      method,
      agent: false,
      headers: { ...(cookie !== "" && { cookie }), ...headers },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    req.end(body);
    const [res] = await once(req, "response");
    let text = "";
    res.setEncoding("utf8");
    for await (const chunk of res) {
      text += chunk;
      onText?.(text);
    }
    const setCookies = res.headers["set-cookie"] ?? [];
    keepCookies(this.cookies, setCookies);
    return { status: res.statusCode, text, headers: res.headers, setCookies };
  }
}

export function cookieHeader(cookies: ReadonlyMap<string, string>): string {
  return [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
}

/** Does with `Set-Cookie` lines what a browser does. */
export function keepCookies(cookies: Map<string, string>, lines: readonly string[]): void {
  for (const line of lines) {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/Max-Age=0|01 Jan 1970/i.test(line)) cookies.delete(name);
    else cookies.set(name, value);
  }
}

/** The lines that bring a session's token, of whichever kind. */
export function sessionCookies({ setCookies }: { setCookies: readonly string[] }): string[] {
  return setCookies.filter((line) => /^(?:sid|__Host-sid|connect\.sid)=/.test(line));
}

/** A server on a free port of the loopback interface, gone after the test. */
export async function listen(t: Cleanup, listener: RequestListener | Server): Promise<Browser> {
  const server = typeof listener === "function" ? createServer(listener) : listener;
  if (!server.listening) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Browser((server.address() as AddressInfo).port);
}

/** Express with sessions. Its error handler says what it was given. */
export function express(sessions: Any, configure: (app: Any) => void): Any {
  const app = newExpress();
  app.use(sessions);
  configure(app);
  app.use(sayError);
  return app;
}

/** An error handler, as Express and its like know it by its four parameters. */
export function sayError(error: Any, _req: Any, res: Any, _next: Any): void {
  res.status(error.status ?? 500).send(`error: ${error.message}`);
}

/** Counts this visitor's visits, as the first program of most READMEs. */
export function countVisits(session: Any): number {
  session.visits = (session.visits ?? 0) + 1;
  return session.visits;
}

/** Two visitors, two visits each: both are remembered, and neither sees the other's. */
export async function remembersVisitors(first: Browser, path = "/"): Promise<void> {
  const second = first.stranger();
  const texts: string[] = [];
  for (const browser of [first, second, first, second]) texts.push((await browser.get(path)).text);
  assert.deepEqual(texts, ["1", "1", "2", "2"]);
}
