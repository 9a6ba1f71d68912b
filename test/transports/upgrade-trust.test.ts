import assert from "node:assert/strict";
import { once } from "node:events";
import http, { createServer, IncomingMessage, ServerResponse } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import express from "express";
import { type SessionOptions, type Sessions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { hasSession } from "../support/site.ts";

const express4: typeof express = createRequire(import.meta.url)("express4");
const SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
const HTTPS = { "x-forwarded-proto": "https" };

/** An upgrade as Node hands it over: no application has seen it. */
function upgrade(headers: Record<string, string>): IncomingMessage {
  const req = new IncomingMessage(new Socket());
  Object.defineProperty(req.socket, "remoteAddress", { value: "10.0.0.7" });
  Object.assign(req.headers, { host: "shop.example", upgrade: "websocket", connection: "Upgrade" }, headers);
  return Object.assign(req, { method: "GET", url: "/socket" });
}

/** An application of Express with a login, and its sessions. */
async function shop(
  t: TestContext,
  sessions: Sessions,
  { create = express, trust }: { create?: typeof express; trust?: unknown } = {},
) {
  const app = create();
  if (trust !== undefined) app.set("trust proxy", trust);
  app.use(sessions);
  app.get("/login", async (req, res) => {
    await req.session.login("alice");
    res.end();
  });
  const server = createServer(app);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
    return sessions.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const { port } = address;
  return {
    app,
    async login(headers: http.OutgoingHttpHeaders): Promise<string> {
      const req = http.get({ host: "127.0.0.1", port, path: "/login", headers, agent: false });
      const [res]: [IncomingMessage] = await new Promise((resolve) => req.on("response", (one) => resolve([one])));
      res.resume();
      return res.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    },
  };
}

/** Whom the middleware finds on an upgrade that has no response, or half of one. */
function byMiddleware(sessions: Sessions, req: IncomingMessage, res: unknown = {}): string | null {
  Reflect.apply(sessions, undefined, [req, res, () => {}]);
  hasSession(req);
  return req.session.userId;
}

describe("behind a proxy that ends TLS", () => {
  for (const [version, create] of [
    ["4", express4],
    ["5", express],
  ] as const) {
    test(`an upgrade is as secure as the pages of its application are (Express ${version})`, async (t) => {
      const sessions = session({ secret: SECRET });
      const { login } = await shop(t, sessions, { create, trust: 1 });
      const cookie = await login(HTTPS);
      assert.match(cookie, /^__Host-sid=/);
      const planted = (await login({})).replace("sid=", "sid=");
      assert.match(planted, /^sid=/);
      for (const protocol of ["https", "wss", "http, https"]) {
        const headers = { "x-forwarded-proto": protocol };
        assert.equal((await sessions.authenticateUpgrade(upgrade({ ...headers, cookie })))?.userId, "alice");
        assert.equal(byMiddleware(sessions, upgrade({ ...headers, cookie })), "alice");
        assert.equal(await sessions.authenticateUpgrade(upgrade({ ...headers, cookie: planted })), undefined);
        assert.equal(byMiddleware(sessions, upgrade({ ...headers, cookie: planted })), null, "the planted one");
        const both = upgrade({ ...headers, cookie: `${planted}; ${cookie}` });
        assert.equal((await sessions.authenticateUpgrade(both))?.userId, "alice");
      }
      const plain = { "x-forwarded-proto": "ws", cookie: planted };
      assert.equal((await sessions.authenticateUpgrade(upgrade(plain)))?.userId, "alice", "over plain HTTP it is good");
    });
  }

  test("a setting that changes counts from then on, and one of a mounted application is its own", async (t) => {
    const sessions = session({ secret: SECRET });
    const { app, login } = await shop(t, sessions);
    const plain = await login(HTTPS);
    assert.match(plain, /^sid=/);
    assert.equal((await sessions.authenticateUpgrade(upgrade({ ...HTTPS, cookie: plain })))?.userId, "alice");
    app.set("trust proxy", "10.0.0.0/8");
    assert.equal(await sessions.authenticateUpgrade(upgrade({ ...HTTPS, cookie: plain })), undefined);
    app.set("trust proxy", "192.168.0.0/16");
    assert.equal((await sessions.authenticateUpgrade(upgrade({ ...HTTPS, cookie: plain })))?.userId, "alice");
  });

  for (const [name, store] of [
    ["a store", () => new MemoryStore()],
    ["a sealed session", () => new SealedStore({ secret: SECRET })],
  ] as const) {
    test(`a process whose first request is an upgrade never takes the cookie that could be planted (${name})`, async (t) => {
      const kept = store();
      const first = session({ store: kept, secret: SECRET });
      const { login } = await shop(t, first, { trust: 1 });
      const [cookie, planted] = [await login(HTTPS), await login({})];
      const fresh = (options: SessionOptions = {}) => session({ store: kept, secret: SECRET, ...options });
      const told: string[] = [];
      const listen = (warning: Error) => told.push(warning.message);
      process.on("warning", listen);
      t.after(() => process.off("warning", listen));
      assert.equal((await fresh().authenticateUpgrade(upgrade({ ...HTTPS, cookie })))?.userId, "alice");
      assert.equal(byMiddleware(fresh(), upgrade({ ...HTTPS, cookie })), "alice");
      assert.equal(await fresh().authenticateUpgrade(upgrade({ ...HTTPS, cookie: planted })), undefined);
      assert.equal(byMiddleware(fresh(), upgrade({ ...HTTPS, cookie: planted })), null);
      for (const trustProxy of [true, 1, 2, () => true]) {
        assert.equal((await fresh({ trustProxy }).authenticateUpgrade(upgrade({ ...HTTPS, cookie })))?.userId, "alice");
        assert.equal(
          await fresh({ trustProxy }).authenticateUpgrade(upgrade({ ...HTTPS, cookie: planted })),
          undefined,
        );
      }
      const strict = fresh({ trustProxy: false });
      assert.equal((await strict.authenticateUpgrade(upgrade({ ...HTTPS, cookie: planted })))?.userId, "alice");
      assert.equal(await strict.authenticateUpgrade(upgrade({ ...HTTPS, cookie })), undefined);
      assert.ok(
        told.every((message) => /session\(\{ trustProxy: 1 \}\)/.test(message)),
        told.join("\n"),
      );
    });
  }

  test("polling that passes no application finds what the browser's own name for HTTPS shows", async (t) => {
    const store = new MemoryStore();
    const { login } = await shop(t, session({ store, secret: SECRET }), { trust: 1 });
    const cookie = await login(HTTPS);
    const fresh = session({ store, secret: SECRET });
    const req = upgrade({ ...HTTPS, cookie });
    Reflect.deleteProperty(req.headers, "upgrade");
    const res = new ServerResponse(req);
    assert.equal(byMiddleware(fresh, req, res), "alice");
  });

  test('secure: "always" needs no header, on a page and on an upgrade', async (t) => {
    const sessions = session({ secret: SECRET, cookie: { secure: "always" } });
    const { login } = await shop(t, sessions);
    const cookie = await login({});
    assert.match(cookie, /^__Host-sid=/);
    const origin = "https://shop.example";
    assert.equal((await sessions.authenticateUpgrade(upgrade({ cookie, origin })))?.userId, "alice");
    const downgraded = upgrade({ cookie, origin: "http://shop.example" });
    assert.equal(await sessions.authenticateUpgrade(downgraded), undefined);
  });
});

describe("the origin", () => {
  test("is compared with its scheme, and ports as browsers leave them out", async (t) => {
    const sessions = session({ trustProxy: 1 });
    const { login } = await shop(t, sessions);
    const [cookie, plain] = [await login(HTTPS), await login({})];
    const secure = { ...HTTPS, cookie };
    const table: [Record<string, string>, origin: string, boolean][] = [
      [secure, "https://shop.example", true],
      [secure, "HTTPS://SHOP.example", true],
      [secure, "https://shop.example:443", true],
      [{ ...secure, host: "Shop.Example:443" }, "https://shop.example", true],
      [{ ...secure, host: "shop.example:8443" }, "https://shop.example:8443", true],
      [{ ...secure, host: "shop.example:8443" }, "https://shop.example", false],
      [secure, "http://shop.example", false],
      [secure, "http://shop.example:443", false],
      [secure, "https://evil.example", false],
      [secure, "https://shop.example.evil.example", false],
      [secure, "https://shop.example@evil.example", false],
      [secure, "ftp://shop.example", false],
      [secure, "null", false],
      [{ ...secure, host: "evil@shop.example" }, "https://shop.example", false],
      [{ ...secure, host: "shop.example/x" }, "https://shop.example", false],
      [{ ...secure, host: "" }, "https://shop.example", false],
      [{ ...secure, host: "inner:3000", "x-forwarded-host": "shop.example" }, "https://shop.example", true],
      [{ ...secure, ":authority": "shop.example", host: "other.example" }, "https://shop.example", true],
      [{ cookie: plain }, "http://shop.example", true],
      [{ cookie: plain, host: "shop.example:80" }, "http://shop.example", true],
      [{ cookie: plain }, "https://shop.example", false],
    ];
    for (const [headers, origin, allowed] of table) {
      const found = await sessions.authenticateUpgrade(upgrade({ ...headers, origin }));
      assert.equal(found?.userId, allowed ? "alice" : undefined, `${JSON.stringify(headers)} ${origin}`);
    }
    assert.equal((await sessions.authenticateUpgrade(upgrade(secure)))?.userId, "alice", "no browser");
    const named = await sessions.authenticateUpgrade(upgrade({ ...secure, origin: "http://shop.example" }), {
      origins: ["http://shop.example"],
    });
    assert.equal(named?.userId, "alice");
  });

  test("of a host that an untrusted proxy names is another site's", async (t) => {
    const sessions = session({ trustProxy: false });
    const { login } = await shop(t, sessions);
    const headers = { cookie: await login({}), "x-forwarded-host": "evil.example", origin: "http://evil.example" };
    assert.equal(await sessions.authenticateUpgrade(upgrade(headers)), undefined);
    // Without trust nothing tells the scheme that the browser saw: the host alone decides.
    for (const origin of ["https://shop.example", "http://shop.example"]) {
      const req = upgrade({ ...HTTPS, cookie: headers.cookie, origin });
      assert.equal((await sessions.authenticateUpgrade(req))?.userId, "alice", origin);
    }
  });

  test("is compared with :authority where a WebSocket comes over HTTP/2", async (t) => {
    const sessions = session();
    const { login } = await shop(t, sessions);
    const cookie = await login({});
    const found: unknown[] = [];
    const server = createHttp2Server({ settings: { enableConnectProtocol: true } }, () => {});
    server.on("connect", async (req, res) => {
      // The compatibility API's request, which imitates that of HTTP/1.1.
      const opened = await Reflect.apply(sessions.authenticateUpgrade, undefined, [req]);
      found.push(opened?.userId);
      res.writeHead(opened === undefined ? 401 : 200);
      res.end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const authority = `127.0.0.1:${address.port}`;
    const client = connectHttp2(`http://${authority}`);
    t.after(() => {
      client.destroy();
      server.close();
    });
    await once(client, "remoteSettings");
    for (const origin of [`http://${authority}`, "http://evil.example", "http://127.0.0.1:1"]) {
      const stream = client.request({
        ":method": "CONNECT", ":protocol": "websocket", ":path": "/socket", ":scheme": "http", ":authority": authority, origin, cookie,
      }); // biome-ignore format: one request
      stream.resume();
      await once(stream, "response");
      stream.close();
    }
    assert.deepEqual(found, ["alice", undefined, undefined]);
  });
});

describe("a handshake's session", () => {
  const stores = {
    "answers at once": () => new MemoryStore(),
    "answers later": () => new ProbeStore(new MemoryStore(), { async: true }).store,
    "is its cookies": () => new SealedStore({ secret: SECRET }),
  };
  for (const [name, store] of Object.entries(stores)) {
    test(`gets no new token once the handshake was answered on its socket, where the store ${name}`, async (t) => {
      const sessions = session({ store: store(), secret: SECRET });
      const outcomes: unknown[] = [];
      const outcome = (work: Promise<unknown>) =>
        work.then(
          () => "done",
          (error) => error.code,
        );
      const server = createServer((req, res) => {
        sessions(req, res, async () => {
          hasSession(req);
          if (req.url === "/login") await req.session.login("alice");
          res.end(req.session.userId);
        });
      });
      const after = new Promise<void>((resolve) => {
        server.on("upgrade", (req, socket) => {
          const res = req.url === "/whole" ? new ServerResponse(req) : {};
          Reflect.apply(sessions, undefined, [
            req,
            res,
            async () => {
              hasSession(req);
              outcomes.push(req.session.userId);
              await new Promise<void>((done) =>
                socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n", () =>
                  done(),
                ),
              );
              outcomes.push(await outcome(req.session.login("mallory")));
              outcomes.push(await outcome(req.session.regenerate({ keep: true })));
              outcomes.push(req.session.userId);
              socket.end();
              if (req.url === "/whole") resolve();
            },
          ]);
        });
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      t.after(() => {
        server.closeAllConnections();
        server.close();
        return sessions.close();
      });
      const address = server.address();
      assert.ok(typeof address === "object" && address !== null);
      const ask = (path: string, headers: http.OutgoingHttpHeaders) =>
        http.get({ host: "127.0.0.1", port: address.port, path, headers, agent: false });
      const [login]: [IncomingMessage] = await new Promise((resolve) =>
        ask("/login", {}).on("response", (res) => resolve([res])),
      );
      login.resume();
      const cookie = login.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
      for (const path of ["/half", "/whole"]) {
        const req = ask(path, { cookie, connection: "Upgrade", upgrade: "test" });
        await new Promise<void>((resolve) => req.on("upgrade", (_res, socket) => socket.resume().on("close", resolve)));
      }
      await after;
      const each = ["alice", "HEADERS_SENT", "HEADERS_SENT", "alice"];
      assert.deepEqual(outcomes, [...each, ...each]);
      const [page]: [IncomingMessage] = await new Promise((resolve) =>
        ask("/", { cookie }).on("response", (res) => resolve([res])),
      );
      let text = "";
      for await (const chunk of page) text += chunk;
      assert.equal(text, "alice", "the page's session lives on");
    });
  }
});
