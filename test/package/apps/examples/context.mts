// The context of a method's example: an application whose visitor has logged in and sends the next request.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import express, { type Request } from "express";
import { bearer, cookie, session as createSessions, query } from "sojourn";

declare module "sojourn" {
  interface SessionData {
    language: string;
    points: number;
  }
}

class Socket extends EventEmitter {
  close(_code?: number, _reason?: string): void {}
}

const sessions = createSessions({
  transport: [cookie(), bearer(), query({ iUnderstandThatAddressesLeak: true })],
  secret: "a secret of a test, long enough for all",
});
export const user = { id: "alice" };
export const jobs = { start: async (_handle: string) => {} };
export const checkCsrfToken = (_req: Request) => {};

const app = express();
const server = createServer(app);
app.use(sessions);
app.get("/login", async (req, res) => {
  req.session.points = 1;
  await req.session.login("alice");
  res.end();
});
app.get("/", async (req, res) => {
  const handle = req.session.id;
  const socket = new Socket();
  assert.equal(req.session.userId, "alice", handle);
  {
    // THE EXAMPLE
  }
  socket.emit("message", "a message");
  socket.emit("close");
  res.end("done");
});

server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = Object(server.address());
const login = await fetch(`http://127.0.0.1:${port}/login`);
const [sent = ""] = login.headers.getSetCookie();
const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie: sent.replace(/;.*/, "") } });
assert.equal(await response.text(), "done");
server.close();
await sessions.close();
