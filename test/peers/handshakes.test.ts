import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { WebSocket } from "ws";
import cookieSession from "../../src/compat/cookie-session.ts";
import dropIn from "../../src/compat/express-session.ts";
import { type Session, type SessionOptions, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { load, type Middleware } from "../compat/world.ts";
import { ProbeStore } from "../support/probe-store.ts";
import { Browser, express5 } from "./browser.ts";

/** Handshakes of Socket.IO's server and of ws, with the packages themselves. */
const { Server } = load("socket.io");
const { io: open } = load("socket.io-client");
const { WebSocket: Client, WebSocketServer } = load("ws");
const SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";

type Live = IncomingMessage & { session: Session & Record<string, unknown>; sessionID: string };
type Step = (req: Live, res: ServerResponse, next: () => void) => unknown;
interface SocketOfIo {
  request: Live;
  on(name: string, listener: (done: (answer: unknown) => void) => unknown): void;
}

/** An application with a page, whose middleware runs on Socket.IO's handshakes too, and what else runs there. */
async function site(
  t: TestContext,
  middleware: Middleware,
  steps: readonly Step[],
  onSocket: (socket: SocketOfIo) => void = () => {},
) {
  const app = express5();
  app.use(middleware);
  app.get("/login", async (req: Live, res: ServerResponse) => {
    await req.session.login("alice");
    res.end();
  });
  app.get("/", (req: Live, res: ServerResponse) => res.end(`${req.session.userId} ${req.session["n"]}`));
  const server = createServer(app);
  const io = new Server(server);
  io.engine.use(middleware);
  for (const step of steps) io.engine.use(step);
  io.on("connection", onSocket);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => io.close());
  const { port } = server.address() as AddressInfo;
  const browser = new Browser(port);
  /** The cookies that the handshake of a bare WebSocket brings. */
  const handshake = async (headers: Record<string, string> = {}): Promise<string[]> => {
    const socket: WebSocket = new Client(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, { headers });
    const [answer]: [IncomingMessage] = await new Promise((resolve, reject) => {
      socket.on("upgrade", (one) => resolve([one]));
      socket.on("error", reject);
    });
    socket.close();
    return answer.headers["set-cookie"] ?? [];
  };
  const ask = async (transport: string, question: string): Promise<unknown> => {
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const options = { extraHeaders: { cookie }, transports: [transport], forceNew: true };
    const client = open(`http://127.0.0.1:${port}`, options);
    const answer = await new Promise((resolve, reject) => {
      client.on("connect_error", reject);
      client.on("connect", () => client.emit(question, resolve));
    });
    client.close();
    return answer;
  };
  return { browser, handshake, ask };
}

const keep = (browser: Browser, lines: readonly string[]) => {
  for (const line of lines) {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    browser.cookies.set(name, value);
  }
};

const stores: Record<string, () => SessionOptions> = {
  "a store that answers at once": () => ({ store: new MemoryStore() }),
  "a store that answers later": () => ({ store: new ProbeStore(new MemoryStore(), { async: true }).store }),
  "a sealed session": () => ({ store: new SealedStore({ secret: SECRET }) }),
};

describe("Socket.IO's handshake of a WebSocket", () => {
  for (const [name, options] of Object.entries(stores)) {
    test(`brings the cookie of a session that was saved or logged in before: ${name}`, async (t) => {
      const sessions = session(options());
      t.after(() => sessions.close());
      const { browser, handshake } = await site(t, sessions as Middleware, [
        async (req, _res, next) => {
          if (req.headers["x-do"] === "save") await Object.assign(req.session, { n: 1 }).save();
          if (req.headers["x-do"] === "login") await req.session.login("alice");
          next();
        },
      ]);
      assert.deepEqual(await handshake(), [], "nothing to say");
      const saved = await handshake({ "x-do": "save" });
      assert.equal(saved.length, 1);
      assert.match(saved[0] ?? "", /^sid=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
      keep(browser, saved);
      assert.equal((await browser.get("/")).text, "null 1");
      const cookie = `sid=${browser.cookies.get("sid")}`;
      const login = await handshake({ "x-do": "login", cookie });
      assert.equal(login.length, 1);
      keep(browser, login);
      assert.equal((await browser.get("/")).text, "alice 1");
    });
  }

  test("stores what a middleware put in where the store answers at once, and says so where it does not", async (t) => {
    const told: string[] = [];
    const listen = (warning: Error) => told.push(warning.message);
    process.on("warning", listen);
    t.after(() => process.off("warning", listen));
    for (const [name, options] of Object.entries(stores)) {
      const sessions = session(options());
      t.after(() => sessions.close());
      const { browser, handshake } = await site(t, sessions as Middleware, [
        (req, _res, next) => {
          req.session["n"] = Number(req.session["n"] ?? 0) + 1;
          next();
        },
      ]);
      const begun = await handshake();
      assert.equal(begun.length, name.includes("later") ? 0 : 1, name);
      keep(browser, begun);
      if (begun.length > 0) assert.equal((await browser.get("/")).text, "null 1");
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told.filter((message) => /for a WebSocket, before its handshake/.test(message)).length, 1);
  });

  test("that fails to be saved leaves, with a warning and without a cookie", async (t) => {
    const told: string[] = [];
    const listen = (warning: Error) => told.push(warning.message);
    process.on("warning", listen);
    t.after(() => process.off("warning", listen));
    const sessions = session();
    t.after(() => sessions.close());
    const { handshake } = await site(t, sessions as Middleware, [
      (req, _res, next) => {
        req.session["n"] = "x".repeat(100_000);
        next();
      },
    ]);
    assert.deepEqual(await handshake(), []);
    assert.equal(told.filter((message) => /handshake was not saved: the session is larger/.test(message)).length, 1);
  });

  for (const transport of ["polling", "websocket"]) {
    for (const [name, options] of Object.entries(stores)) {
      test(`once it left, the session is read and saved, and gets no new token: ${transport}, ${name}`, async (t) => {
        const sessions = session(options());
        t.after(() => sessions.close());
        const code = (work: Promise<unknown>) =>
          work.then(
            () => "done",
            (error) => error.code,
          );
        const { browser, ask } = await site(t, sessions as Middleware, [], (socket) => {
          const { request } = socket;
          socket.on("who", (done) => done(request.session.userId));
          socket.on("login", async (done) => done(await code(request.session.login("mallory"))));
          socket.on("regenerate", async (done) => done(await code(request.session.regenerate())));
          socket.on("save", async (done) => {
            request.session["n"] = 7;
            done(await code(request.session.save()));
          });
        });
        assert.equal(await ask(transport, "save"), "HEADERS_SENT", "a stranger's");
        await browser.get("/login");
        assert.equal(await ask(transport, "who"), "alice");
        assert.equal(await ask(transport, "login"), "HEADERS_SENT");
        assert.equal(await ask(transport, "regenerate"), "HEADERS_SENT");
        const isSealed = name === "a sealed session";
        assert.equal(await ask(transport, "save"), isSealed ? "HEADERS_SENT" : "done");
        assert.equal((await browser.get("/")).text, isSealed ? "alice undefined" : "alice 7");
      });
    }
  }
});

describe("a drop-in on Socket.IO's handshake of a WebSocket", () => {
  for (const [name, library] of Object.entries({ original: load("express-session"), "drop-in": dropIn })) {
    test(`sends the cookie that express-session sends: ${name}`, async (t) => {
      const shape = (lines: string[]) => lines.map((line) => line.replace(/=s%3A[^;]+/, "=V"));
      const options = { secret: "keyboard cat", resave: false, saveUninitialized: true, cookie: {} };
      const always = await site(t, library(options), []);
      const begun = await always.handshake();
      assert.deepEqual(shape(begun), ["connect.sid=V; Path=/; HttpOnly"]);
      const quiet = await site(t, library({ ...options, saveUninitialized: false }), []);
      assert.deepEqual(await quiet.handshake(), []);
      const changing = await site(t, library({ ...options, saveUninitialized: false }), [
        (req, _res, next) => {
          req.session["n"] = 1;
          Reflect.apply(req.session.save, req.session, [next]);
        },
      ]);
      const saved = await changing.handshake();
      assert.deepEqual(shape(saved), ["connect.sid=V; Path=/; HttpOnly"]);
      keep(changing.browser, saved);
      assert.equal((await changing.browser.get("/")).text, "undefined 1");
      const rolling = await site(t, library({ ...options, rolling: true, cookie: { maxAge: 60_000 } }), []);
      const [first = ""] = await rolling.handshake();
      assert.match(first, /; Expires=/);
    });
  }

  test("sends cookie-session's, where it is one", async (t) => {
    const middleware = cookieSession({ keys: [SECRET], encrypt: true }) as Middleware;
    const { browser, handshake } = await site(t, middleware, [
      (req, _res, next) => {
        req.session["n"] = 1;
        next();
      },
    ]);
    const lines = await handshake();
    assert.equal(lines.length, 1);
    keep(browser, lines);
    assert.equal((await browser.get("/")).text, "undefined 1");
  });
});

test("io.use with the middleware, as in Socket.IO's guide, has the page's session on every transport", async (t) => {
  const sessions = session();
  const app = express5();
  app.use(sessions);
  app.get("/", async (req: Live, res: ServerResponse) => {
    if (req.session.userId === null) await req.session.login("alice");
    res.end(`${req.session["n"]}`);
  });
  const server = createServer(app);
  const io = new Server(server);
  io.use((socket: SocketOfIo, next: (error?: unknown) => void) =>
    Reflect.apply(sessions, undefined, [socket.request, {}, next]),
  );
  io.on("connection", (socket: SocketOfIo) => {
    socket.on("count", async (done) => {
      const { session: found } = socket.request;
      await found.update((data) => Object.assign(data, { n: Number(Reflect.get(data, "n") ?? 0) + 1 }));
      done(await found.login("mallory").catch((error) => `${found.userId} ${found["n"]} ${error.code}`));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    await io.close();
    await sessions.close();
  });
  const { port } = server.address() as AddressInfo;
  const browser = new Browser(port);
  await browser.get("/");
  for (const [position, transport] of ["polling", "websocket"].entries()) {
    const extraHeaders = { cookie: `sid=${browser.cookies.get("sid")}` };
    const client = open(`http://127.0.0.1:${port}`, { extraHeaders, transports: [transport], forceNew: true });
    const answer = await new Promise((resolve, reject) => {
      client.on("connect_error", reject);
      client.on("connect", () => client.emit("count", resolve));
    });
    client.close();
    assert.equal(answer, `alice ${position + 1} HEADERS_SENT`);
    assert.equal((await browser.get("/")).text, String(position + 1));
  }
});

test("the middleware on an upgrade that ws answers: read, saved, touched; a login is refused", async (t) => {
  const sessions = session();
  const server = createServer((req, res) =>
    sessions(req, res, async () => {
      await (req as Live).session.login("alice");
      res.end();
    }),
  );
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (req, socket, head) => {
    Reflect.apply(sessions, undefined, [
      req,
      {},
      () => {
        sockets.handleUpgrade(req, socket, head, async (ws: WebSocket) => {
          const { session: found } = req as Live;
          found["n"] = 1;
          await found.save();
          await found.touch();
          const refused = await found.login("mallory").catch((error) => error.code);
          ws.send(JSON.stringify([found.userId, found["n"], refused]));
        });
      },
    ]);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    server.close();
    return sessions.close();
  });
  const browser = new Browser(port);
  await browser.get("/");
  const socket: WebSocket = new Client(`ws://127.0.0.1:${port}/`, {
    headers: { cookie: `sid=${browser.cookies.get("sid")}` },
  });
  const [message] = await once(socket, "message");
  socket.close();
  assert.equal(String(message), '["alice",1,"HEADERS_SENT"]');
});
