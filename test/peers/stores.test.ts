import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { createClient } from "redis";
import { session as sojournSession } from "../../src/index.ts";
import type { ExpressSessionStore } from "../../src/wrap/from-express-store.ts";
import { type Any, hasSession, load, type Middleware, pairOf, recorded, serve } from "../compat/world.ts";
import { dropTables, sharedPostgres } from "../support/servers/postgres.ts";
import { tableName } from "../support/servers/private-process.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { Browser, express5, frameworks } from "./browser.ts";

/**
 * One program (cookie-parser, sessions, connect-flash, Passport, Socket.IO) on stores from npm and their servers: with express-session
 * itself, with ours, and with one after the other on the same records, all that the browser sees and the store is asked is the same.
 */
const libraries: Record<"theirs" | "ours", Any> = {
  theirs: load("express-session"),
  ours: load("../../src/compat/express-session.ts"),
};
type Which = keyof typeof libraries;

interface Kind {
  skip?: string | undefined;
  /** A store made with one of the two libraries, and how to let it go. */
  make(library: Any): { store: ExpressSessionStore; close?: () => unknown };
}

const folder = mkdtempSync(join(tmpdir(), "sojourn-stores-"));
const client = createClient({ url: sharedRedis.url });
const table = tableName();
if (sharedRedis.skip === undefined) await client.connect();
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  if (sharedRedis.skip === undefined) {
    client.destroy();
    await removeKeys(sharedRedis.url);
  }
  if (sharedPostgres.skip === undefined) await dropTables(sharedPostgres.url, table);
});

const kinds: Record<string, Kind> = {
  // Extends the Store of the express-session that it finds itself: in this repository the original's.
  "connect-redis": {
    skip: sharedRedis.skip,
    make: () => ({ store: new (load("connect-redis").RedisStore)({ client, prefix: keyPrefix() }) }),
  },
  "connect-pg-simple": {
    skip: sharedPostgres.skip,
    make(library) {
      const PgStore = load("connect-pg-simple")(library);
      const store = new PgStore({
        conString: sharedPostgres.url,
        tableName: table,
        createTableIfMissing: true,
        pruneSessionInterval: false,
      });
      return { store, close: () => store.close() };
    },
  },
  memorystore: { make: (library) => ({ store: new (load("memorystore")(library))({ checkPeriod: 0 }) }) },
  "session-file-store": {
    make: (library) => ({
      store: new (load("session-file-store")(library))({
        path: mkdtempSync(join(folder, "files-")),
        retries: 0,
        reapInterval: -1,
        logFn: () => {},
      }),
    }),
  },
};

function program(app: Any, sessions: Middleware): void {
  const { Passport } = load("passport");
  const { Strategy } = load("passport-local");
  const passport = new Passport();
  passport.use(
    new Strategy((name: string, password: string, done: Any) => done(null, password === "right" && { name })),
  );
  passport.serializeUser((user: Any, done: Any) => done(null, user.name));
  passport.deserializeUser((name: string, done: Any) => done(null, { name }));

  app.use(load("cookie-parser")("keyboard cat"));
  app.use(sessions);
  app.use(load("connect-flash")());
  app.use(passport.session());
  app.use((req: Any, res: Any, next: Any) => {
    const { pathname, searchParams } = new URL(req.url, "http://localhost");
    req.body = Object.fromEntries(searchParams);
    const options = { keepSessionInfo: searchParams.has("keep") };
    const say = (text: unknown) => res.end(`${text}`);
    if (pathname === "/login")
      return passport.authenticate("local", options)(req, res, (error: unknown) =>
        error ? next(error) : say(req.user.name),
      );
    if (pathname === "/logout") return req.logout(options, (error: unknown) => (error ? next(error) : say("bye")));
    if (pathname === "/cart") req.session.cart = [...(req.session.cart ?? []), "lamp"];
    if (pathname === "/flash") return say(req.flash("info", "saved"));
    if (pathname === "/destroy") return req.session.destroy((error: unknown) => say(error));
    say(JSON.stringify([req.user?.name, req.session.cart, pathname === "/take" && req.flash("info")]));
  });
}

const paths = [
  ..."/ /cart /login?username=ada&password=wrong /login?username=ada&password=right&keep / /cart /flash".split(" "),
  ..."/take /take /logout?keep / /login?username=eve&password=right / /logout / /cart /destroy / /cart".split(" "),
];

/** What a visit comes to; `turn` says which library serves the request of each position. */
async function visit(
  name: string,
  framework: () => Any,
  made: Which,
  turn: (position: number) => Which,
): Promise<string[]> {
  const { store, close } = kinds[name]?.make(libraries[made]) ?? assert.fail();
  const { operations } = recorded(store);
  const options = {
    secret: "keyboard cat",
    resave: false,
    saveUninitialized: false,
    store,
    cookie: { maxAge: 60_000 },
  };
  const middlewares = { theirs: libraries.theirs(options), ours: libraries.ours(options) };
  let now: Which = made;
  const sessions: Middleware = (req, res, next) => middlewares[now](req, res, next);
  const app = framework();
  program(app, sessions);
  const server = createServer(app);
  const io = new (load("socket.io").Server)(server);
  io.engine.use(sessions);
  io.on("connection", (socket: Any) =>
    socket.on("cart", (done: Any) =>
      socket.request.session.reload(() => {
        const { session } = socket.request;
        session.cart.push("socket");
        session.save((error: unknown) => done(error ?? session.cart));
      }),
    ),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const browser = new Browser(port);
  const seen: string[] = [];
  for (const [position, path] of paths.entries()) {
    now = turn(position);
    const { status, text, setCookies } = await browser.get(path);
    const names = setCookies.map((line) => line.replace(/=.*?;/, ";").replace(/Expires=[^;]*/, "Expires"));
    seen.push([path, status, text, names, operations.splice(0).map((line) => line.split(" ")[0])].join(" | "));
  }
  now = turn(paths.length);
  const socket = load("socket.io-client").io(`http://127.0.0.1:${port}`, {
    extraHeaders: { cookie: [...browser.cookies].map((pair) => pair.join("=")).join("; ") },
    transports: ["polling"],
    forceNew: true,
  });
  const cart = await new Promise((resolve, reject) => {
    socket.on("connect_error", reject);
    socket.on("connect", () => socket.emit("cart", resolve));
  });
  socket.close();
  now = turn(paths.length + 1);
  seen.push(String(cart), (await browser.get("/")).text);
  await new Promise((resolve) => io.close(resolve));
  await close?.();
  return seen;
}

for (const [name, { skip }] of Object.entries(kinds)) {
  describe(name, { skip: skip ?? false }, () => {
    // Each framework once; what a store is asked does not depend on them.
    const on = name === "connect-redis" ? frameworks : { "Express 5": express5 };
    for (const [title, framework] of Object.entries(on)) {
      test(`on ${title}: with the original, with ours, and with both in turn`, async () => {
        const expected = await visit(name, framework, "theirs", () => "theirs");
        assert.match(expected.join("\n"), /ada.*\n.*ada.*lamp/);
        assert.deepEqual(await visit(name, framework, "ours", () => "ours"), expected);
        assert.deepEqual(await visit(name, framework, "ours", (at) => (at % 2 === 0 ? "theirs" : "ours")), expected);
      });
    }
  });
}

for (const [name, { skip, make }] of Object.entries(kinds)) {
  test(`session() on ${name} without timeouts: begun with one set, and read back`, {
    skip: skip ?? false,
  }, async (t) => {
    const { store, close } = make(libraries.theirs);
    const { operations } = recorded(store);
    const middleware = sojournSession({ store, idleTimeout: false, absoluteTimeout: false });
    const { get } = await serve(t, middleware, (req, res) => {
      hasSession(req);
      const visits = Number(req.session["visits"] ?? 0) + 1;
      req.session["visits"] = visits;
      res.end(String(visits));
    });
    const first = await get("/");
    assert.equal(first.text, "1");
    assert.deepEqual(
      operations.map((line) => line.split(" ")[0]),
      ["set"],
    );
    assert.equal((await get("/", { cookie: pairOf(first.setCookies[0]) })).text, "2");
    await close?.();
  });
}
