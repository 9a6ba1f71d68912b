// An application, before its routes. It is visited once.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";

const folder = mkdtempSync(join(tmpdir(), "sojourn-page-"));
process.chdir(folder);
const secret = "a secret of a test, long enough for all";
const log = { warn: (..._given: unknown[]) => {}, info: (..._given: unknown[]) => {} };
const app = express();
// THE BLOCK

void [secret, log, join];
app.get("/", (req, res) => {
  req.session.views = (req.session.views ?? 0) + 1;
  res.send("done");
});
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = Object(server.address());
const response = await fetch(`http://127.0.0.1:${port}/`);
assert.equal(response.status, 200, await response.text());
assert.equal(response.headers.getSetCookie().length > 0, true);
server.close();
rmSync(folder, { recursive: true });
process.exit();
