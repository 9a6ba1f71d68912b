// The checks of docs/guides/websockets.md: both programs serve who is logged in, and nobody else.
import assert from "node:assert/strict";
import { once } from "node:events";
import { io } from "socket.io-client";
import WebSocket from "ws";

export async function check(port: number): Promise<void> {
  const base = `http://127.0.0.1:${port}`;
  const login = await fetch(`${base}/login`, { method: "POST" });
  const cookie = login.headers.getSetCookie()[0]?.replace(/;.*/, "") ?? "";
  const isSocketIo = (await fetch(`${base}/socket.io/`)).status === 400;
  await (isSocketIo ? socketIo(base, cookie) : plain(base, cookie));
}

async function plain(base: string, cookie: string): Promise<void> {
  const refused = new WebSocket(base.replace("http", "ws"));
  const [error] = await once(refused, "error");
  assert.match(String(error), /401/);

  const ws = new WebSocket(base.replace("http", "ws"), { headers: { cookie, origin: "https://app.example.com" } });
  const [message] = await once(ws, "message");
  assert.equal(String(message), "Hello ada");
  const closed = once(ws, "close");
  await fetch(`${base}/logout`, { method: "POST", headers: { cookie } });
  assert.equal((await closed)[0], 4401);
}

async function socketIo(base: string, cookie: string): Promise<void> {
  const stranger = io(base, { transports: ["websocket"], reconnection: false });
  await new Promise((resolve) => stranger.once("disconnect", resolve));

  const socket = io(base, { transports: ["websocket"], extraHeaders: { cookie }, reconnection: false });
  assert.equal(await socket.emitWithAck("who"), "ada");
  socket.disconnect();
}
