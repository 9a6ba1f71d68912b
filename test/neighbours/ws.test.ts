import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { describe, test } from "node:test";
import { type Any, type Browser, type Cleanup, inTime, kinds, listen, load, natives, sessionCookies } from "./world.ts";

/** https://www.npmjs.com/package/ws, and its example "express-session-parse". */
const { WebSocket, WebSocketServer } = load("ws");

interface Site {
  browser: Browser;
  /** What a WebSocket hears first, or the status that it is refused with. */
  open(browser: Browser, headers?: Record<string, string>): Promise<string>;
}

type OnUpgrade = (req: Any, socket: Duplex, head: Buffer, sockets: Any) => unknown;

async function site(
  t: Cleanup,
  sessions: Any,
  { trustProxy = false, onUpgrade }: { trustProxy?: boolean; onUpgrade: OnUpgrade },
): Promise<Site> {
  const app = load("express")();
  if (trustProxy) app.set("trust proxy", 1);
  app.use(sessions);
  app.post("/login", async (req: Any, res: Any) => {
    if (req.session.login === undefined) req.session.userId = "ada";
    else await req.session.login("ada");
    res.send("in");
  });
  app.get("/", (req: Any, res: Any) => res.send(`${req.session.userId} ${req.session.visits}`));
  const server = createServer(app);
  const sockets = new WebSocketServer({ noServer: true, clientTracking: true });
  server.on("upgrade", (req: IncomingMessage, socket: Duplex, head: Buffer) => onUpgrade(req, socket, head, sockets));
  t.after(() => {
    for (const client of sockets.clients) client.terminate();
  });
  const browser = await listen(t, server);
  return {
    browser,
    async open({ cookie, port }, headers = {}) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`, {
        headers: { ...(cookie !== "" && { cookie }), ...headers },
      });
      t.after(() => socket.terminate());
      return new Promise((resolve, reject) => {
        const { signal } = timeout(t);
        signal.addEventListener("abort", () => reject(new Error("the WebSocket was neither opened nor refused")));
        socket.on("unexpected-response", (_req: unknown, res: IncomingMessage) => resolve(String(res.statusCode)));
        socket.on("message", (data: Buffer) => resolve(data.toString()));
        socket.on("error", () => {});
      });
    },
  };
}

function timeout(t: Cleanup): AbortController {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), 5_000);
  t.after(() => clearTimeout(timer));
  return controller;
}

/** The example's way: the middleware is called with an empty object for a response. */
const byMiddleware =
  (sessions: Any): OnUpgrade =>
  (req, socket, head, sockets) =>
    sessions(req, {}, () => {
      if (!req.session.userId) {
        socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
        return;
      }
      sockets.handleUpgrade(req, socket, head, (ws: Any) => ws.send(`hello ${req.session.userId}`));
    });

const byAuthenticateUpgrade =
  (sessions: Any, options?: object): OnUpgrade =>
  async (req, socket, head, sockets) => {
    const session = await sessions.authenticateUpgrade(req, options);
    if (!session?.userId) {
      socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(req, socket, head, (ws: Any) => ws.send(`hello ${session.userId}`));
  };

for (const [kind, open] of Object.entries(kinds)) {
  test(`the middleware on the upgrade knows who is logged in (${kind})`, async (t) => {
    const sessions = open(t);
    const { browser, open: connect } = await site(t, sessions, { onUpgrade: byMiddleware(sessions) });
    assert.equal(await connect(browser), "401");
    await browser.ask("/login", { method: "POST" });
    assert.equal(await connect(browser), "hello ada");
  });

  test(`a socket's message saves into the session (${kind})`, async (t) => {
    const sessions = open(t);
    const onUpgrade: OnUpgrade = (req, socket, head, sockets) =>
      sessions(req, {}, () =>
        sockets.handleUpgrade(req, socket, head, (ws: Any) => {
          req.session.visits = 7;
          req.session.save((error: unknown) => ws.send(error ? String(error) : "saved"));
        }),
      );
    const { browser, open: connect } = await site(t, sessions, { onUpgrade });
    await browser.ask("/login", { method: "POST" });
    assert.equal(await connect(browser), "saved");
    assert.equal((await browser.get("/")).text, "ada 7");
  });
}

/** TLS ends at a proxy, and the README's `app.set("trust proxy", 1)` says so: an upgrade is to be judged as the pages are. */
const https = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9" };
const upgrades: Record<string, (sessions: Any) => OnUpgrade> = {
  authenticateUpgrade: byAuthenticateUpgrade,
  "the middleware": byMiddleware,
};

for (const [way, onUpgrade] of Object.entries(upgrades)) {
  describe(`behind a proxy, ${way}`, () => {
    for (const [kind, open] of Object.entries(natives)) {
      test(`finds the page's session (${kind})`, async (t) => {
        const sessions = open(t);
        const { browser, open: connect } = await site(t, sessions, {
          trustProxy: true,
          onUpgrade: onUpgrade(sessions),
        });
        const begun = await browser.ask("/login", { method: "POST", headers: https });
        assert.match(sessionCookies(begun)[0] ?? "", /^__Host-sid=.*; Secure/);
        assert.equal(await connect(browser, https), "hello ada");
        assert.equal(await connect(browser, { "x-forwarded-proto": "wss" }), "hello ada");
      });

      test(`takes no planted cookie of the plain name (${kind})`, async (t) => {
        const sessions = open(t);
        const { browser, open: connect } = await site(t, sessions, {
          trustProxy: true,
          onUpgrade: onUpgrade(sessions),
        });
        // Somebody's own session, begun over plain HTTP, is planted in another's browser.
        const mallory = browser.stranger();
        await mallory.ask("/login", { method: "POST" });
        const planted = mallory.cookies.get("sid");
        assert.ok(planted);
        browser.cookies.set("sid", planted);
        await browser.get("/", https);
        assert.equal(await connect(browser, https), "401");
      });
    }
  });
}

describe("the Origin of an upgrade", () => {
  for (const [kind, open] of Object.entries(natives)) {
    test(`is compared with scheme and host (${kind})`, async (t) => {
      const sessions = open(t);
      const { browser, open: connect } = await site(t, sessions, {
        trustProxy: true,
        onUpgrade: byAuthenticateUpgrade(sessions, { origins: ["https://app.example"] }),
      });
      await browser.ask("/login", { method: "POST", headers: { ...https, host: "shop.example" } });
      const from = (origin: string) => connect(browser, { ...https, host: "shop.example", origin });
      assert.equal(await from("https://shop.example"), "hello ada");
      assert.equal(await from("https://app.example"), "hello ada");
      assert.equal(await from("https://evil.example"), "401");
      assert.equal(await from("http://shop.example"), "401");
      assert.equal(await from("https://shop.example:8443"), "401");
      assert.equal(await from("null"), "401");
    });
  }
});

test("a socket is closed when its user logs out", async (t) => {
  const sessions = natives["on a distant store"]?.(t);
  let closed = Promise.resolve<unknown>(undefined);
  const { browser, open: connect } = await site(t, sessions, {
    onUpgrade: async (req, socket, head, sockets) => {
      const session = await sessions.authenticateUpgrade(req);
      sockets.handleUpgrade(req, socket, head, (ws: Any) => {
        closed = once(ws, "close");
        ws.on(
          "close",
          session.onEnd(() => ws.close(4401)),
        );
        ws.send("open");
      });
    },
  });
  await browser.ask("/login", { method: "POST" });
  assert.equal(await connect(browser), "open");
  await sessions.revokeAll("ada");
  await inTime(closed, "the socket is still open");
});
