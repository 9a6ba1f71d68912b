import assert from "node:assert/strict";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
} from "node:http2";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { selfSigned } from "../support/certificate.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { hasSession } from "../support/site.ts";

type Cleanup = { after(action: () => unknown): void };

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  setCookies: string[];
  text: string;
}

/** A server with HTTP/2's compatibility API, as the middleware meets it, and a client. */
async function start(t: Cleanup, { secure }: { secure: boolean }) {
  const clock = new ManualClock();
  const probe = new ProbeStore(new MemoryStore({ clock }), { async: true });
  const sessions = session({ clock, store: probe.store, onError: (error, req, res) => answer(req, res, error) });
  const listener = (req: unknown, res: unknown) => {
    // The compatibility objects imitate those of HTTP/1.1: that is what is tested.
    Reflect.apply(sessions, undefined, [
      req,
      res,
      async (error: unknown) => {
        await answer(req as import("node:http").IncomingMessage, res as import("node:http").ServerResponse, error);
      },
    ]);
  };
  const server = secure ? createSecureServer(selfSigned(), listener) : createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = connect(`${secure ? "https" : "http"}://127.0.0.1:${address.port}`, { rejectUnauthorized: false });
  t.after(async () => {
    client.destroy();
    server.close();
    await sessions.close();
  });
  return { sessions, probe, get: (path: string, cookies: string[] = []) => get(client, path, cookies) };
}

async function answer(
  req: import("node:http").IncomingMessage,
  res: import("node:http").ServerResponse,
  error: unknown,
) {
  if (error !== undefined) {
    res.statusCode = Number(Reflect.get(Object(error), "status") ?? 500);
    res.end("error");
    return;
  }
  hasSession(req);
  const { session: mine } = req;
  switch (req.url) {
    case "/set":
      Object.assign(mine, { n: 1 });
      break;
    case "/login":
      await mine.login("alice");
      break;
    case "/logout":
      await mine.destroy();
      break;
    case "/bad":
      Object.assign(mine, { bad: 1n });
      break;
    case "/stream":
      Object.assign(mine, { streamed: 1 });
      res.write("first");
      await turn();
      Object.assign(mine, { streamed: 2 });
      break;
    case "/head":
      Object.assign(mine, { n: 2 });
      res.writeHead(201, { "x-mine": "1", "set-cookie": "other=1" });
      break;
  }
  res.end(
    JSON.stringify({ data: req.session, userId: req.session.userId }, (_key, value) =>
      typeof value === "bigint" ? "big" : value,
    ),
  );
}

async function get(client: ClientHttp2Session, path: string, cookies: string[]): Promise<Answer> {
  const stream = client.request({
    ":path": path,
    ...(cookies.length > 0 && { cookie: cookies.length === 1 ? cookies[0] : cookies }),
  });
  const [headers]: [IncomingHttpHeaders] = await new Promise((resolve, reject) => {
    stream.on("response", (value) => resolve([value]));
    stream.on("error", reject);
  });
  stream.setEncoding("utf8");
  let text = "";
  for await (const chunk of stream) text += chunk;
  return { status: Number(headers[":status"]), headers, setCookies: [headers["set-cookie"] ?? []].flat(), text };
}

for (const secure of [false, true]) {
  describe(`HTTP/2, ${secure ? "over TLS" : "in clear"}`, () => {
    const name = secure ? "__Host-sid" : "sid";

    test("begin, use, log in, stream, log out", async (t) => {
      const { get: ask, sessions } = await start(t, { secure });
      const first = await ask("/set");
      assert.equal(first.status, 200);
      assert.equal(first.setCookies.length, 1);
      const pattern = secure
        ? /^__Host-sid=[\w.-]{55}; Path=\/; HttpOnly; SameSite=Lax; Secure$/
        : /^sid=[\w.-]{55}; Path=\/; HttpOnly; SameSite=Lax$/;
      assert.match(first.setCookies[0] ?? "", pattern);
      assert.equal(first.headers["cache-control"], "no-store");
      assert.equal(first.headers.vary, "Cookie");
      const cookie = first.setCookies[0]?.split(";")[0] ?? "";
      // HTTP/2 sends each cookie as a header of its own (RFC 9113 8.2.3).
      assert.match((await ask("/", ["a=1", cookie, "b=2"])).text, /"n":1/);
      const login = await ask("/login", [cookie]);
      const next = login.setCookies[0]?.split(";")[0] ?? "";
      assert.ok(next.startsWith(`${name}=`) && next !== cookie);
      assert.match((await ask("/", [cookie])).text, /"userId":null/);
      assert.match((await ask("/stream", [next])).text, /^first\{.*"streamed":2/);
      assert.match((await ask("/", [next])).text, /"streamed":2.*"userId":"alice"/);
      const head = await ask("/head", [next]);
      assert.equal(head.status, 201);
      assert.deepEqual(head.setCookies, ["other=1"]);
      const out = await ask("/logout", [next]);
      assert.match(out.setCookies[0] ?? "", /Max-Age=0/);
      assert.match((await ask("/", [next])).text, /"userId":null/);
      assert.equal(await sessions.count(), 0);
    });

    test("failed commits are the error handler's 5xx", async (t) => {
      const { get: ask, probe } = await start(t, { secure });
      const bad = await ask("/bad");
      assert.deepEqual([bad.status, bad.text, bad.setCookies], [500, "error", []]);
      probe.fail(new Error("down"), "create");
      const down = await ask("/set");
      assert.deepEqual([down.status, down.text, down.setCookies], [503, "error", []]);
    });
  });
}
