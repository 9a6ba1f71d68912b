// The stores of npm, none of which has heard of us, in an application where `express-session` is ours by name: they extend one and
// the same Store, and what they keep is the original's to read, and back.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { RedisStore } from "connect-redis";
import session, { MemoryStore, Store } from "express-session";
import original from "original";
import { createClient } from "redis";
import openSqlite3 from "./sqlite3-shaped.cjs";

const require = createRequire(import.meta.url);
const [folder, redisUrl, postgresUrl, own] = process.argv.slice(2);

assert.notEqual(session, original);
assert.equal(require("express-session"), session);
assert.equal(require("express-session").Store, Store);
for (const [name, Class] of Object.entries({
  store: Store,
  memory: MemoryStore,
  cookie: session.Cookie,
  session: session.Session,
})) {
  assert.equal(require(`express-session/session/${name}`), Class);
  assert.equal(require(`express-session/session/${name}.js`), Class);
  assert.equal((await import(`express-session/session/${name}.js`)).default, Class);
}

// A store may be handed the library, or have imported it itself.
const makers = {
  memorystore: (library) => new (require("memorystore")(library))({ checkPeriod: 0 }),
  "session-file-store": (library) =>
    new (require("session-file-store")(library))({
      path: join(folder, "files"),
      retries: 0,
      reapInterval: -1,
      logFn() {},
    }),
  "connect-sqlite3": (library) =>
    new (require("connect-sqlite3")(library))({ db: openSqlite3(join(folder, "sqlite3.db")) }),
  "better-sqlite3-session-store": (library) =>
    new (require("better-sqlite3-session-store")(library))({
      client: new BetterSqlite3(join(folder, "better.db")),
    }),
};
const closing = [];
if (redisUrl !== "") {
  const client = await createClient({ url: redisUrl }).connect();
  closing.push(() => client.close());
  makers["connect-redis"] = () => new RedisStore({ client, prefix: own });
}
if (postgresUrl !== "") {
  makers["connect-pg-simple"] = (library) => {
    const PgStore = require("connect-pg-simple")(library);
    const store = new PgStore({
      conString: postgresUrl,
      tableName: own.replace(/\W/g, "_"),
      createTableIfMissing: true,
    });
    closing.push(() => store.close());
    return store;
  };
}

/** What one visitor sees who is sent to one middleware, then to the other. */
async function visit(middlewares, paths) {
  const server = createServer((req, res) => {
    const [, which, what] = req.url.split("/");
    middlewares[which](req, res, (error) => {
      if (error) return res.writeHead(500).end(String(error));
      if (what === "out") return req.session.destroy((failed) => res.end(`bye ${failed ?? ""}`));
      if (what === "new") return req.session.regenerate((failed) => res.end(`new ${failed ?? ""}`));
      if (what !== "read") req.session.views = (req.session.views ?? 0) + 1;
      res.end(`${req.session.views}`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  let cookie;
  const seen = [];
  for (const path of paths) {
    const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`, {
      headers: cookie ? { cookie } : {},
    });
    seen.push(await answer.text());
    cookie = answer.headers.getSetCookie()[0]?.split(";", 1)[0] ?? cookie;
  }
  server.closeAllConnections();
  server.close();
  return seen.map((text) => text.trim());
}

for (const [name, make] of Object.entries(makers)) {
  const store = make(session);
  assert.ok(store instanceof Store, `${name} extends another Store`);
  assert.ok(store instanceof require("express-session").Store);
  const options = { secret: "keyboard cat", resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } };
  const middlewares = { ours: session({ ...options, store }), theirs: original({ ...options, store: make(original) }) };
  const paths = [
    "/theirs",
    "/ours",
    "/ours/read",
    "/theirs",
    "/ours/new",
    "/ours",
    "/theirs",
    "/theirs/out",
    "/ours/read",
  ];
  // Nobody else can read the memory of one.
  if (name === "memorystore") middlewares.theirs = original({ ...options, store });
  assert.deepEqual(await visit(middlewares, paths), ["1", "2", "2", "3", "new", "1", "2", "bye", "undefined"], name);
  console.log(name);
}
for (const close of closing) await close();
// better-sqlite3-session-store has an interval that nothing ends.
process.exit();
