import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import express from "express";
import { session } from "../../../src/index.ts";
import { transform } from "../lib/transform.js";
import { codemod, copyOf, sources } from "./world.ts";

const snippets: { what: string; path?: string; from: string; to: string; express4?: boolean; flashByName?: boolean }[] =
  [
    {
      what: "connect-pg-simple, made where it is used",
      from: `const session = require('express-session');
app.use(session({
  store: new (require('connect-pg-simple')(session))({ pool: pgPool, createTableIfMissing: true }),
  secret: key, // a long one
  genid: () => uuid(),
}));
`,
      to: `const { session } = require('sojourn');
const { PostgresStore } = require('sojourn/postgres');
app.use(session({
  store: new PostgresStore(pgPool),
  secret: key, // a long one
}));
`,
    },
    {
      what: "express-mysql-session with the options of a connection",
      from: `const session = require("express-session");
const MySQLStore = require("express-mysql-session")(session);
const store = new MySQLStore({ host: "db", user, database: "shop", clearExpired: true });
`,
      to: `const { createPool } = require("mysql2");
const { MysqlStore } = require("sojourn/mysql");
const store = new MysqlStore(createPool({ host: "db", user, database: "shop" }));
`,
    },
    {
      what: "better-sqlite3-session-store, whose module is imported",
      path: "app.mjs",
      from: `import session from "express-session";
import sqliteStore from "better-sqlite3-session-store";
const SqliteStore = sqliteStore(session);
app.use(session({ store: new SqliteStore({ client: db }), secret, proxy: true }));
`,
      to: `import { session } from "sojourn";
import { SqliteStore } from "sojourn/sqlite";
app.use(session({ store: new SqliteStore(db), secret, trustProxy: true }));
`,
    },
    {
      what: "a store that it does not know, and a local variable of the middleware's name",
      from: `const session = require("express-session");
const MongoStore = require("connect-other")(session);
app.use(session({ ...base, store: new MongoStore() }));
app.use((req, res, next) => { const { session } = req; session.count = 1; next(); });
`,
      to: `const { session } = require("sojourn");
const expressSession = require("sojourn/express-session");
const MongoStore = require("connect-other")(expressSession);
app.use(session({ ...base, store: new MongoStore() }));
app.use((req, res, next) => { const { session } = req; session.count = 1; next(); });
`,
    },
    {
      what: "flash messages that Passport writes by req.flash",
      flashByName: true,
      from: `const flash = require("connect-flash");
app.use(flash());
`,
      to: `app.use((req, res, next) => {
  req.flash = (type, ...message) => req.session.flash(type, ...message);
  next();
});
`,
    },
    {
      what: "the end of a session, in a handler that becomes asynchronous",
      express4: true,
      from: `app.get("/bye", (req, res) => {
  delete req.session;
  res.send("bye");
});
`,
      to: `app.get("/bye", async (req, res) => {
  await req.session.destroy();
  res.send("bye");
});
`,
    },
    {
      what: "what can't be asynchronous, which is marked and stays",
      from: `users.forEach((id) => {
  req.session.userId = id;
});
`,
      to: `users.forEach((id) => {
  req.session.userId = id;
});
`,
    },
    {
      what: "a declaration of the session's data, in which userId is sojourn's",
      path: "session.d.ts",
      from: `import "express-session";
declare module "express-session" {
  interface SessionData {
    userId: string;
    cart: string[];
  }
}
`,
      to: `import "sojourn";
declare module "sojourn" {
  interface SessionData {
    cart: string[];
  }
}
`,
    },
  ];

for (const { what, path = "app.js", from, to, ...options } of snippets)
  test(`turns ${what}`, () => {
    const { text, notes } = transform(from, path, { native: true, ...options });
    assert.equal(text.replaceAll(/^ *\/\/ sojourn-codemod: .*\n/gm, ""), to);
    for (const note of notes) assert.equal(text.split("\n")[note.line - 1]?.trim(), `// sojourn-codemod: ${note.text}`);
    assert.equal(transform(text, path, { native: true, ...options }).text, text, "a second time changes nothing");
  });

test("data named like any member of sojourn's sessions gets another name, however it is assigned", async () => {
  const app = express();
  app.use(session());
  app.get("/", (req, res) => {
    res.json(Object.getOwnPropertyNames(Object.getPrototypeOf(req.session)));
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const response = await fetch(`http://127.0.0.1:${Object(server.address()).port}/`);
  const members: string[] = JSON.parse(await response.text());
  server.close();
  const isRenamed = (name: string, after: string) => {
    const text = `const session = require("express-session");\napp.use(session({ secret }));\napp.use(async (req) => { req.session.${name}${after}; });\n`;
    return transform(text, "app.js", { native: true }).text.includes(`req.session.${name}Data${after};`);
  };
  // The same in express-session, or converted by itself.
  const others = ["constructor", "destroy", "id", "regenerate", "reload", "save", "touch", "userId"];
  assert.deepEqual(members.filter((name) => !isRenamed(name, " = 1")).sort(), others);
  for (const after of [" = 1", "=1", " ??= 1", " ||= 1", " += 1", "++"]) assert.ok(isRenamed("actor", after), after);
  for (const after of [" == 1", " === 1", " >= 1", " <= 1", " != 1", " ?? 1"])
    assert.ok(!isRenamed("actor", after), after);
});

test("on Express 4, a handler that became asynchronous is marked", () => {
  const handler = "app.get('/', (req, res) => {\n  delete req.session;\n  res.end();\n});\n";
  const marked = (express4: boolean) => transform(handler, "app.js", { native: true, express4 }).notes.length;
  assert.deepEqual([marked(true), marked(false)], [1, 0]);
});

test("--dry writes nothing, and says what it would change", (t) => {
  const folder = copyOf(t, "login");
  const before = sources(folder);
  const { status, stdout } = codemod(folder, "--dry", "--native", ".");
  assert.equal(status, 0);
  assert.match(stdout, /^would change {2}app\.js$/m);
  assert.deepEqual(sources(folder), before);
});

test("--help explains, a wrong call ends with 2, a file that can't be parsed with 1", (t) => {
  const folder = copyOf(t, "login");
  assert.match(codemod(folder, "--help").stdout, /--native/);
  for (const args of [[], ["--natives", "."], ["nowhere"]]) {
    const { status, stderr } = codemod(folder, ...args);
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, /^sojourn-codemod: /);
  }
  writeFileSync(join(folder, "broken.js"), "const session = require('express-session'\n");
  const { status, stdout, stderr } = codemod(folder, ".");
  assert.equal(status, 1);
  assert.match(stderr, /broken\.js: /);
  assert.match(stdout, /^changed {2}app\.js$/m, "the others are turned all the same");
});
