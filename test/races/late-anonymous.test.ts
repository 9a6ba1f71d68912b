import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import express from "express";
import { MemoryStore, session } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";

/**
 * A page that counts its views is asked for with the old cookie, while the login's answer is on its way. It finds no session, and must
 * not begin one: its cookie would take the place of the login's.
 */
test("a request with a token that a login has just replaced begins no session", async (t) => {
  const clock = new ManualClock();
  const sessions = session({ store: new MemoryStore({ clock }), clock });
  const gone: string[] = [];
  sessions.on("gone", ({ handle }) => gone.push(handle));
  const app = express();
  app.use(sessions);
  app.get("/count", (req, res) => {
    Object.assign(req.session, { views: 1 });
    res.send("counted");
  });
  app.get("/login", async (req, res) => {
    await req.session.login("alice");
    res.send("in");
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const get = async (path: string, cookie = ""): Promise<string | undefined> => {
    const response = await fetch(base + path, { headers: { cookie } });
    assert.equal(response.status, 200);
    await response.text();
    return response.headers.getSetCookie()[0]?.split(";")[0];
  };

  const old = await get("/count");
  const fresh = await get("/login", old);
  assert.notEqual(fresh, old);
  assert.equal(await get("/count", old), undefined, "no cookie, and none cleared");
  assert.equal(gone.length, 1);
  assert.equal(await sessions.count(), 1);

  assert.ok(await get("/login", old), "but who logs in, logs in");
  clock.advance(60_000);
  assert.ok(await get("/count", old), "and a client that never got the new token may begin anew");
});
