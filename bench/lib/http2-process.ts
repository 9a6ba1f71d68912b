import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { session } from "../../src/index.ts";
import { load } from "./peer.ts";

/**
 * A server of HTTP/2 without Express, which only knows HTTP/1.1: `node http2-process.ts <name>`.
 * Tells its port; answers each message with its processor time in microseconds.
 */
type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => unknown;
type Handler = (req: IncomingMessage) => unknown;

const secret = randomBytes(32).toString("base64url");
const viewsOf = (req: IncomingMessage) => (req as unknown as { session: { views?: number } }).session;
const none: Middleware = (_req, _res, next) => next();
const expressSession: (options: object) => Middleware = load("../../src/compat/express-session.ts");

const MIDDLEWARE: Record<string, () => Middleware> = {
  bare: () => none,
  sojourn: () => session({ secret }) as Middleware,
  "sojourn/express-session": () => expressSession({ secret, resave: false, saveUninitialized: false }),
};
const HANDLERS: Record<string, Handler> = {
  "/none": () => "hello",
  "/read": (req) => viewsOf(req)?.views,
  "/write": (req) => {
    const session = viewsOf(req);
    session.views = (session.views ?? 0) + 1;
    return session.views;
  },
};

const name = process.argv[2] ?? "";
const isBare = name === "bare";
const middleware = MIDDLEWARE[name]?.();
if (middleware === undefined) throw new Error(`there is no ${name}`);
process.removeAllListeners("warning");

const server = createServer((request, response) => {
  // HTTP/2's compatible classes have what a middleware uses of HTTP/1.1's.
  const req = request as unknown as IncomingMessage;
  const res = response as unknown as ServerResponse;
  middleware(req, res, async (error) => {
    const value = isBare ? "bare" : await HANDLERS[req.url ?? ""]?.(req);
    res.statusCode = error === undefined ? 200 : 500;
    res.setHeader("Content-Type", "text/plain");
    res.end(String(value ?? "nothing"));
  });
}).listen(0, "127.0.0.1");
await once(server, "listening");
process.send?.((server.address() as AddressInfo).port);
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.on("disconnect", () => process.exit());
