import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import { type Any, Browser, type Cleanup, inTime, kinds, listen, load, natives, sessionCookies } from "./world.ts";

/** https://socket.io/how-to/use-with-express-session: `io.engine.use(sessions)`, and the page's session in `socket.request`. */
const { Server } = load("socket.io");
const { io: connect } = load("socket.io-client");

interface Site {
  browser: Browser;
  /** Connects as a browser with these cookies does, and waits for what the server says first. */
  hello(browser: Browser, transports: string[], headers?: Record<string, string>): Promise<Any>;
}

async function site(
  t: Cleanup,
  sessions: Any,
  onConnection: (socket: Any) => unknown,
  trustProxy = false,
): Promise<Site> {
  const app = load("express")();
  if (trustProxy) app.set("trust proxy", 1);
  app.use(sessions);
  app.get("/login", (req: Any, res: Any) => {
    req.session.user = "ada";
    res.send("in");
  });
  app.get("/", (req: Any, res: Any) => res.send(`${req.session.user} ${req.session.count}`));
  const server = createServer(app);
  const io = new Server(server);
  io.engine.use(sessions);
  io.on("connection", onConnection);
  t.after(() => io.close());
  const browser = await listen(t, server);
  return {
    browser,
    async hello({ cookie, port }, transports, headers = {}) {
      const socket = connect(`http://127.0.0.1:${port}`, {
        transports,
        extraHeaders: { ...(cookie !== "" && { cookie }), ...headers },
        reconnection: false,
      });
      t.after(() => socket.disconnect());
      const said = await inTime(
        new Promise((resolve, reject) => {
          socket.on("hello", resolve);
          socket.on("connect_error", reject);
        }),
        "the server said nothing",
      );
      return { socket, said };
    },
  };
}

for (const [kind, open] of Object.entries(kinds)) {
  describe(`Socket.IO with sessions ${kind}`, () => {
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      test(`by ${transports.join(", then ")}: a socket has the page's session, and what it saves the page finds`, async (t) => {
        const { browser, hello } = await site(t, open(t), (socket) => {
          const { request } = socket;
          socket.emit("hello", request.session.user ?? "stranger");
          // As in the how-to: read again, since the session may have changed, then change it and save it.
          socket.on("count", (answer: (count: unknown) => void) => {
            request.session.reload((error: unknown) => {
              if (error) return answer(String(error));
              request.session.count = (request.session.count ?? 0) + 1;
              request.session.save((failed: unknown) => answer(failed ? String(failed) : request.session.count));
            });
          });
        });
        await browser.get("/login");
        const { socket, said } = await hello(browser, transports);
        assert.equal(said, "ada");
        assert.equal(await socket.emitWithAck("count"), 1);
        assert.equal((await browser.get("/")).text, "ada 1");
        assert.equal(await socket.emitWithAck("count"), 2);
        assert.equal((await browser.get("/")).text, "ada 2");
        assert.equal((await hello(browser.stranger(), transports)).said, "stranger");
      });
    }

    // express-session looks at X-Forwarded-Proto only where Express has been told to trust it, so this is asked of ours alone.
    if (kind === "by express-session") return;
    test("behind a proxy that ends TLS: an upgrade finds the session that the page began", async (t) => {
      const options = kind === "as the drop-in" ? { proxy: true, cookie: { secure: true } } : {};
      const { browser, hello } = await site(
        t,
        open(t, options),
        (socket) => socket.emit("hello", socket.request.session.user ?? "stranger"),
        true,
      );
      const https = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9" };
      const begun = await browser.get("/login", https);
      assert.match(sessionCookies(begun)[0] ?? "", /; Secure/);
      assert.equal((await hello(browser, ["websocket"], https)).said, "ada");
      assert.equal((await hello(browser, ["polling"], https)).said, "ada");
    });
  });
}

/** engine.io's own suite: "should work with express-session (websocket)". */
describe("a session that a WebSocket's handshake begins", () => {
  const { WebSocket } = load("ws");
  for (const kind of ["as the drop-in", "by express-session"]) {
    test(`has its cookie in the handshake's response (${kind})`, async (t) => {
      const sessions = kinds[kind]?.(t, { saveUninitialized: true });
      const server = createServer((_req, res) => res.end());
      const io = new Server(server);
      io.engine.use(sessions);
      t.after(() => io.close());
      const { port } = await listen(t, server);
      const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
      t.after(() => socket.terminate());
      const [response] = await once(socket, "upgrade", { signal: AbortSignal.timeout(5_000) });
      const setCookies = response.headers["set-cookie"] ?? [];
      assert.equal(sessionCookies({ setCookies }).length, 1);
    });
  }
});

/** The handshake has been answered: a token that is made now would be known to nobody. */
describe("on a connected WebSocket", () => {
  const asked: Record<string, (session: Any) => unknown> = {
    "login()": (session) => session.login("eve"),
    "regenerate()": (session) => session.regenerate(),
  };
  for (const [kind, open] of Object.entries(natives)) {
    for (const [name, ask] of Object.entries(asked)) {
      test(`${name} is refused, and the page's session lives on (${kind})`, async (t) => {
        const { browser, hello } = await site(t, open(t), async (socket) => {
          const outcome = await Promise.resolve(ask(socket.request.session)).then(
            () => "done",
            (error: Any) => error.code,
          );
          socket.emit("hello", outcome);
        });
        await browser.get("/login");
        assert.equal((await hello(browser, ["websocket"])).said, "HEADERS_SENT");
        assert.equal((await browser.get("/")).text, "ada undefined");
      });
    }

    test(`save() of a stranger's session is refused (${kind})`, async (t) => {
      const { browser, hello } = await site(t, open(t), async (socket) => {
        socket.request.session.user = "eve";
        const outcome = await socket.request.session.save().then(
          () => "saved",
          (error: Any) => error.code,
        );
        socket.emit("hello", outcome);
      });
      assert.equal((await hello(browser, ["websocket"])).said, "HEADERS_SENT");
    });
  }
});

describe("authenticateUpgrade for Socket.IO's allowRequest", () => {
  for (const [kind, open] of Object.entries(natives)) {
    test(`lets those in who are logged in (${kind})`, async (t) => {
      const sessions = open(t);
      const app = load("express")();
      app.use(sessions);
      app.get("/login", async (req: Any, res: Any) => {
        await req.session.login("ada");
        res.send("in");
      });
      const server = createServer(app);
      const io = new Server(server, {
        allowRequest: async (req: Any, decide: (error: string | null, allowed: boolean) => void) =>
          decide(null, (await sessions.authenticateUpgrade(req))?.userId === "ada"),
      });
      t.after(() => io.close());
      const { port } = await listen(t, server);
      const browser = new Browser(port);
      await browser.get("/login");
      const connected = async (cookie: string) => {
        const socket = connect(`http://127.0.0.1:${port}`, {
          transports: ["websocket"],
          extraHeaders: cookie === "" ? {} : { cookie },
          reconnection: false,
        });
        t.after(() => socket.disconnect());
        return new Promise((resolve) => {
          socket.on("connect", () => resolve("connected"));
          socket.on("connect_error", () => resolve("refused"));
        });
      };
      assert.equal(await connected(browser.cookie), "connected");
      assert.equal(await connected(""), "refused");
    });
  }
});
