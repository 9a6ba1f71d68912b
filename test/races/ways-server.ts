import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { Server } from "node:net";
import express, { type NextFunction, type Request, type Response } from "express";
import { type Session, type SessionStore, type Sessions, session } from "../../src/index.ts";
import { Client } from "../support/client.ts";
import { type Cleanup, PATIENT, put } from "../support/express-site.ts";
import { anywhere, onExpress, onHttp1, type Ways } from "./ways.ts";

/**
 * Servers that answer `/answer?way=…&mark=…` in the way that is asked for, after the mark was put into the session.
 */

export interface Started {
  port: number;
  client: Client;
}

export function startExpress(t: Cleanup, store: SessionStore): Promise<Started> {
  const app = express();
  const sessions = session({ store, storeTimeout: PATIENT });
  app.use(sessions);
  app.use((req, res) => serve(onExpress, req, res));
  app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
    res.status(503).send("code" in error ? String(error.code) : error.message);
  });
  return listen(t, createServer(app), sessions);
}

export function startPlain(t: Cleanup, store: SessionStore): Promise<Started> {
  const sessions = session({ store, storeTimeout: PATIENT, onError: answerError });
  return listen(t, createServer(plain(sessions, onHttp1)), sessions);
}

export function startHttp2(t: Cleanup, store: SessionStore): Promise<Started> {
  const sessions = session({ store, storeTimeout: PATIENT, onError: answerError });
  const listener = plain(sessions, anywhere);
  return listen(
    t,
    createHttp2Server((req, res) => Reflect.apply(listener, undefined, [req, res])),
    sessions,
  );
}

function plain(sessions: Sessions, ways: Ways): RequestListener {
  return (req, res) => {
    sessions(req, res, (error) => {
      if (error === undefined) {
        // A stream into a response whose commit failed ends with an error, as with one whose client went away.
        serve(ways, req, res).catch(() => {});
        return;
      }
      answerError(error, req, res);
    });
  };
}

function answerError(error: unknown, _req: IncomingMessage, res: ServerResponse): void {
  res.statusCode = 503;
  res.end(error instanceof Error && "code" in error ? String(error.code) : String(error));
}

/** Where the streams of `/events` wait to be told to go on. */
const waiting: (() => void)[] = [];

async function serve(ways: Ways, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? "/", "http://localhost");
  const current: () => Session = () => Reflect.get(req, "session");
  switch (url.pathname) {
    case "/begin":
      put(current(), "begun", true);
      break;
    case "/answer":
      put(current(), "mark", url.searchParams.get("mark"));
      await Reflect.apply(ways[url.searchParams.get("way") ?? ""] ?? assert.fail, undefined, [req, res]);
      return;
    case "/go-on":
      for (const goOn of waiting.splice(0)) goOn();
      break;
    case "/events":
      put(current(), "mark", "before");
      res.setHeader("Content-Type", "text/event-stream");
      res.flushHeaders();
      res.write("data: first\n\n");
      await new Promise<void>((resolve) => waiting.push(resolve));
      put(current(), "mark", "meanwhile");
      res.write("data: second\n\n");
      break;
  }
  res.end();
}

async function listen(
  t: Cleanup,
  server: Server & { closeAllConnections?: () => void },
  sessions: Sessions,
): Promise<Started> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on no port");
  const client = new Client(address.port);
  t.after(async () => {
    client.close();
    server.close();
    server.closeAllConnections?.();
    await sessions.close();
  });
  return { port: address.port, client };
}
