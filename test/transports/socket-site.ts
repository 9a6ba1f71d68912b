import { createServer, type Server } from "node:http";
import { WebSocketServer } from "ws";
import { bearer, cookie, type SessionOptions, type Sessions, session } from "../../src/index.ts";
import { hasSession } from "../support/site.ts";

/**
 * A server with a login, WebSockets and event streams. A socket is closed with the code that its address asks for, 4401 unless it
 * asks. `/revoke` ends a session by its handle, as an administrator's page would, and `/revoke-all` a user's.
 */
export function socketSite(options: SessionOptions): { server: Server; sessions: Sessions } {
  const sessions = session({ transport: [cookie(), bearer()], ...options });
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? "/", "http://x");
    if (pathname === "/events") {
      sessions.authenticateUpgrade(req).then((found) => {
        if (found === undefined) {
          res.writeHead(401).end();
          return;
        }
        res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
        res.write(`data: ${found.userId}\n\n`);
        res.on(
          "close",
          found.onEnd(() => res.end("event: end\ndata: session ended\n\n")),
        );
      });
      return;
    }
    sessions(req, res, async (error) => {
      if (error !== undefined) {
        res.writeHead(500).end();
        return;
      }
      hasSession(req);
      if (pathname === "/login") await req.session.login(searchParams.get("user") ?? "alice");
      if (pathname === "/logout") await req.session.logout();
      if (pathname === "/revoke") await sessions.revoke(searchParams.get("handle") ?? "");
      if (pathname === "/revoke-all") await sessions.revokeAll(searchParams.get("user") ?? "alice");
      res.end(req.session.id);
    });
  });
  server.on("upgrade", async (req, socket, head) => {
    const found = await sessions.authenticateUpgrade(req);
    if (found === undefined) {
      socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
      return;
    }
    const code = Number(new URL(req.url ?? "/", "http://x").searchParams.get("code") ?? 4_401);
    sockets.handleUpgrade(req, socket, head, (ws) => {
      ws.on(
        "close",
        found.onEnd(() => ws.close(code, "session ended")),
      );
      ws.on("message", (text) => ws.send(`${found.userId}: ${text}`));
    });
  });
  return { server, sessions };
}
