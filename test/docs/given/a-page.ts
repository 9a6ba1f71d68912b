// A script of a page of another origin, whose server is the page's program for such clients.
import assert from "node:assert/strict";
import { once } from "node:events";
import express from "express";
import { bearer, session } from "sojourn";

const app = express();
const sessions = session({ transport: bearer(), secret: "a secret of a test, long enough for all" });
app.use(sessions);
app.post("/login", async (req, res) => {
  await req.session.login("ada");
  res.json({});
});
app.get("/me", (req, res) => res.json({ userId: req.session.userId }));
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = Object(server.address());
const real = globalThis.fetch;
globalThis.fetch = (url, options) =>
  real(String(url).replace("https://api.example.net", `http://127.0.0.1:${port}`), options);
const shown: unknown[] = [];
console.log = (value) => void shown.push(value);
// THE BLOCK

assert.deepEqual(shown, [{ userId: "ada" }]);
server.close();
await sessions.close();
