import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import cookieSession from "../../src/compat/cookie-session.ts";
import session, { MemoryStore, toExpressStore } from "../../src/compat/express-session.ts";
import { session as sojourn } from "../../src/index.ts";
import { MemoryStore as OurMemoryStore } from "../../src/stores/memory.ts";
import { hasSession, load, type Middleware, type Next } from "../compat/world.ts";
import { Browser, express4, express5, frameworks, listen } from "./browser.ts";

/**
 * Programs as their users write them, with the packages themselves, and sessions of ours. Those packages are no dependencies of the
 * types here: what they are called with is what their documentation shows.
 */
const QUIET = { secret: "keyboard cat", resave: false, saveUninitialized: false };
const stored = (options: object = {}): Middleware => session({ ...QUIET, ...options }) as Middleware;
const inCookie = (): Middleware => cookieSession({ keys: ["a"] }) as Middleware;

type Login = IncomingMessage & {
  user?: { name: string };
  query: Record<string, string>;
  session: Record<string, unknown>;
  logout(options: object, done: (error?: unknown) => void): void;
};

function passportProgram(app: ReturnType<typeof express5>, sessions: Middleware): void {
  const { Passport } = load("passport");
  const { Strategy } = load("passport-local");
  const passport = new Passport();
  passport.use(
    new Strategy((name: string, password: string, done: (error: unknown, user: unknown) => void) =>
      done(null, password === "open sesame" ? { name } : false),
    ),
  );
  passport.serializeUser((user: { name: string }, done: (error: unknown, id: string) => void) => done(null, user.name));
  passport.deserializeUser((name: string, done: (error: unknown, user: object) => void) => done(null, { name }));
  app.use(sessions);
  app.use(passport.session());
  app.get("/cart", (req: Login, res: ServerResponse) => {
    req.session["cart"] = "lamp";
    res.end("in cart");
  });
  const keepSessionInfo = (req: Login) => req.query["keep"] === "yes";
  app.get(
    "/login",
    (req: Login, res: ServerResponse, next: Next) =>
      passport.authenticate("local", { keepSessionInfo: keepSessionInfo(req) })(req, res, next),
    (req: Login, res: ServerResponse) => res.end(`hello ${req.user?.name}`),
  );
  app.get("/logout", (req: Login, res: ServerResponse, next: Next) =>
    req.logout({ keepSessionInfo: keepSessionInfo(req) }, (error) => (error ? next(error) : res.end("bye"))),
  );
  app.get("/", (req: Login, res: ServerResponse) => res.end(`${req.user?.name} ${req.session["cart"]}`));
}

const kinds: Record<string, () => Middleware> = {
  "the drop-in for express-session": stored,
  "the drop-in for cookie-session": inCookie,
  "a store of ours in express-session": () =>
    load("express-session")({ ...QUIET, store: toExpressStore(new OurMemoryStore()) }),
  "a store of ours in the drop-in": () => stored({ store: toExpressStore(new OurMemoryStore()) }),
  "sojourn with a store of express-session": () => sojourn({ store: new MemoryStore() }) as Middleware,
};

for (const [kind, middleware] of Object.entries(kinds)) {
  for (const [name, framework] of Object.entries({ "Express 5": express5, "Express 4": express4 })) {
    test(`Passport on ${name} with ${kind}`, async (t) => {
      const app = framework();
      passportProgram(app, middleware());
      const browser = await listen(t, app);
      await browser.get("/cart");
      const before = new Map(browser.cookies);
      assert.equal((await browser.get("/")).text, "undefined lamp");
      assert.equal((await browser.get("/login?username=ada&password=wrong")).status, 401);

      assert.equal((await browser.get("/login?username=ada&password=open+sesame&keep=yes")).text, "hello ada");
      assert.notDeepEqual(browser.cookies, before);
      assert.equal((await browser.get("/")).text, "ada lamp");
      assert.equal((await browser.get("/logout?keep=yes")).text, "bye");
      assert.equal((await browser.get("/")).text, "undefined lamp");

      assert.equal((await browser.get("/login?username=eve&password=open+sesame")).text, "hello eve");
      assert.equal((await browser.get("/")).text, "eve undefined");
      assert.equal((await browser.get("/logout")).text, "bye");
      assert.equal((await browser.get("/")).text, "undefined undefined");
    });
  }
}

describe("connect-flash", () => {
  for (const [name, middleware] of Object.entries({ stored, inCookie })) {
    test(`with ${name} sessions`, async (t) => {
      const app = express5();
      app.use(middleware());
      app.use(load("connect-flash")());
      app.get("/leave", (req: { flash(type: string, text: string): void }, res: ServerResponse) => {
        req.flash("info", "saved");
        res.writeHead(302, { Location: "/take" }).end();
      });
      app.get("/take", (req: { flash(type: string): string[] }, res: ServerResponse) =>
        res.end(req.flash("info").join()),
      );
      const browser = await listen(t, app);
      await browser.get("/leave");
      assert.equal((await browser.get("/take")).text, "saved");
      assert.equal((await browser.get("/take")).text, "");
    });
  }
});

for (const [name, framework] of Object.entries(frameworks)) {
  for (const [kind, middleware] of Object.entries({ stored, inCookie })) {
    test(`${name} with ${kind} sessions, behind cookie-parser`, async (t) => {
      const app = framework();
      app.use(load("cookie-parser")("keyboard cat"));
      app.use(middleware());
      app.use((req: IncomingMessage, res: ServerResponse) => {
        hasSession(req);
        req.session["views"] = Number(req.session["views"] ?? 0) + 1;
        res.end(`${req.session["views"]}`);
      });
      const browser = await listen(t, app);
      assert.deepEqual([(await browser.get("/")).text, (await browser.get("/")).text], ["1", "2"]);
    });
  }
}

test("Socket.IO: a handshake has the page's session, and what the socket saves the page finds", async (t) => {
  const { Server } = load("socket.io");
  const { io: open } = load("socket.io-client");
  const middleware = stored();
  const app = express5();
  app.use(middleware);
  app.get("/", (req: IncomingMessage, res: ServerResponse) => {
    hasSession(req);
    req.session["page"] = Number(req.session["page"] ?? 0) + 1;
    res.end(`${req.session["page"]} ${req.session["socket"]}`);
  });
  const server = createServer(app);
  const io = new Server(server);
  io.engine.use(middleware);
  io.on(
    "connection",
    (socket: { request: IncomingMessage; on(name: string, listener: (...args: never[]) => void): void }) => {
      socket.on("count", (done: (count: unknown) => void) => {
        const { request } = socket;
        hasSession(request);
        request.session.reload(() => {
          hasSession(request);
          request.session["socket"] = Number(request.session["socket"] ?? 0) + 1;
          const { socket: count } = request.session;
          request.session.save((error) => done(error ?? count));
        });
      });
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.after(() => io.close());
  const browser = new Browser(port);
  await browser.get("/");
  const cookie = `connect.sid=${browser.cookies.get("connect.sid")}`;
  for (const [position, transport] of ["polling", "websocket"].entries()) {
    const client = open(`http://127.0.0.1:${port}`, {
      extraHeaders: { cookie },
      transports: [transport],
      forceNew: true,
    });
    const count = await new Promise((resolve, reject) => {
      client.on("connect_error", reject);
      client.on("connect", () => client.emit("count", resolve));
    });
    client.close();
    assert.equal(count, position + 1);
  }
  assert.equal((await browser.get("/")).text, "2 2");
});

describe("stores from npm", () => {
  /** Each beside our classes and beside the original's, on the same data. */
  const makers: Record<string, (library: unknown, folder: string) => object> = {
    memorystore: (library) => new (load("memorystore")(library))({ checkPeriod: 0 }),
    "session-file-store": (library, path) =>
      new (load("session-file-store")(library))({ path, retries: 0, reapInterval: -1, logFn: () => {} }),
  };
  const theirs = load("express-session");

  for (const [name, make] of Object.entries(makers)) {
    for (const [kind, library] of Object.entries({ ours: session, theirs })) {
      test(`${name}, made with ${kind}: both packages read and write each other's sessions in it`, async (t) => {
        const folder = mkdtempSync(join(tmpdir(), "sojourn-"));
        t.after(() => rmSync(folder, { recursive: true, force: true }));
        const store = make(library, folder);
        const options = { ...QUIET, store, cookie: { maxAge: 60_000 } };
        const packages = { ours: session(Object(options)) as Middleware, theirs: theirs(options) };
        const app = express5();
        app.use("/ours", packages.ours);
        app.use("/theirs", packages.theirs);
        app.use((req: IncomingMessage, res: ServerResponse) => {
          hasSession(req);
          if (req.url === "/ours/out") return void req.session.destroy(() => res.end("bye"));
          req.session["views"] = Number(req.session["views"] ?? 0) + 1;
          res.end(`${req.session["views"]}`);
        });
        const browser = await listen(t, app);
        const seen: string[] = [];
        for (const path of ["/theirs", "/ours", "/ours", "/theirs", "/ours/out", "/theirs"])
          seen.push((await browser.get(path)).text);
        assert.deepEqual(seen, ["1", "2", "3", "4", "bye", "1"]);
      });
    }

    test(`${name} in sojourn`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "sojourn-"));
      const sessions = sojourn({ store: Object(make(session, folder)) });
      t.after(async () => {
        await sessions.close();
        rmSync(folder, { recursive: true, force: true });
      });
      const app = express5();
      app.use(sessions);
      app.use(async (req: IncomingMessage, res: ServerResponse) => {
        hasSession(req);
        if (req.url === "/login") await Object(req.session).login("ada");
        if (req.url === "/out") await Object(req.session).destroy();
        else req.session["views"] = Number(req.session["views"] ?? 0) + 1;
        res.end(`${req.session["views"]} ${Object(req.session).userId}`);
      });
      const browser = await listen(t, app);
      const seen: string[] = [];
      for (const path of ["/", "/", "/login", "/", "/out", "/"]) seen.push((await browser.get(path)).text);
      assert.deepEqual(seen, ["1 null", "2 null", "3 ada", "4 ada", "undefined null", "1 null"]);
    });
  }
});
