// The check of docs/guides/server-sent-events.md: a logout ends the stream.
import assert from "node:assert/strict";

export async function check(port: number): Promise<void> {
  const base = `http://127.0.0.1:${port}`;
  assert.equal((await fetch(`${base}/events`)).status, 401);
  const login = await fetch(`${base}/login`, { method: "POST" });
  const cookie = login.headers.getSetCookie()[0]?.replace(/;.*/, "") ?? "";
  const stream = await fetch(`${base}/events`, { headers: { cookie } });
  assert.equal(stream.status, 200);
  await fetch(`${base}/logout`, { method: "POST", headers: { cookie } });
  assert.equal(await stream.text(), "data: hello ada\n\nevent: logout\ndata:\n\n");
}
