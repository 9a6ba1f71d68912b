// What follows an example that makes an Express application: one visitor requests each of its routes twice.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Express } from "express";

export async function request(app: Express, routes: readonly (readonly string[])[]): Promise<void> {
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = Object(server.address());
  let cookie = "";
  for (const [method = "GET", path = "/"] of [...routes, ...routes]) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { cookie },
      redirect: "manual",
    });
    assert.ok(response.status < 400, `${method} ${path}: ${response.status} ${await response.text()}`);
    cookie = response.headers.getSetCookie()[0]?.replace(/;.*/, "") ?? cookie;
  }
  server.close();
}
