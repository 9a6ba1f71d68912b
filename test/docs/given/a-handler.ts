// A handler of an application whose visitor is logged in as "alice".
import assert from "node:assert/strict";
import { once } from "node:events";
import express from "express";
import { MemoryStore, session } from "sojourn";

const log = { warn: (..._given: unknown[]) => {}, info: (..._given: unknown[]) => {} };
const name = "report.pdf";
const id = 7;
const user = { id: 1 };
const sessions = session({ store: new MemoryStore(), secret: "a secret of a test, long enough for all" });
const app = express();
app.use(sessions);
app.get("/login", async (req, res) => {
  req.session.cart = [];
  req.session.files = [];
  await req.session.login("alice");
  res.end();
});
app.get("/", async (req, res) => {
  {
    // THE BLOCK
  }
  void req;
  if (!res.headersSent) res.send("done");
});

void [log, name, id, user];
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = Object(server.address());
let cookie = "";
for (const path of ["/login", "/", "/"]) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie }, redirect: "manual" });
  assert.ok(response.status < 400, `${path}: ${response.status} ${await response.text()}`);
  cookie = response.headers.getSetCookie()[0]?.replace(/;.*/, "") ?? cookie;
}
server.close();
await sessions.close();
