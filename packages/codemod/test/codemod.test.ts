import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { root } from "../../../scripts/package.ts";
import { sharedRedis } from "../../../test/support/servers/redis.ts";
import { transform } from "../lib/transform.js";

/** Applications as tutorials teach them, with their own tests: these pass before the codemod, after it, and after it with `--native`. */
const apps = join(import.meta.dirname, "apps");
const cli = join(root, "packages/codemod/cli.js");

/** What an application imports in the end, and what it is told. */
const expected: Record<string, { imports: string[]; told: RegExp[]; express?: string }> = {
  login: {
    imports: ["sojourn"],
    told: [/app\.js:\d+ {2}req\.session\.userId is text/, /app\.js:\d+ {2}the server ends sessions now/],
  },
  cart: { imports: ["sojourn", "sojourn/sealed"], told: [/the server ends sessions now/] },
  "redis-typescript": {
    imports: ["sojourn", "sojourn/redis"],
    told: [/the store's ttl is gone/, /app\.ts:\d+ {2}sojourn's sessions have a member createdAt/],
  },
  passport: {
    imports: ["sojourn", "sojourn/memory"],
    told: [/the store's|app\.mjs:\d+ {2}call req\.session\.login/, /sessions end after 30 minutes/],
  },
  flash: { imports: ["sojourn"], told: [/sessions end after 30 minutes/] },
  "file-store": { imports: ["sojourn", "sojourn/file"], told: [/sessions end after 30 minutes/] },
};

test("every application is expected to become something", () => {
  const folders = readdirSync(apps, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(folders.map(({ name }) => name).sort(), Object.keys(expected).sort());
});

for (const [name, { imports, told }] of Object.entries(expected))
  describe(`the application ${name}`, {
    skip: name === "redis-typescript" ? (sharedRedis.skip ?? false) : false,
  }, () => {
    test("passes its tests before", (t) => {
      testsPass(copyOf(t, name));
    });

    test("passes its tests on the drop-in, which differs in its imports alone", (t) => {
      const folder = copyOf(t, name);
      const before = sources(folder);
      const { status, stdout } = codemod(folder, ".");
      assert.equal(status, 0, stdout);
      for (const [file, text] of sources(folder)) {
        const back = text
          .replaceAll(/^\/\/ sojourn-codemod: .*\n/gm, "")
          .replaceAll(/sojourn\/((?:express|cookie)-session)/g, "$1");
        assert.equal(back, before.get(file), `${file} changed elsewhere`);
      }
      const dropIn = name === "cart" ? "sojourn/cookie-session" : "sojourn/express-session";
      assert.deepEqual(modules(folder), name === "flash" ? ["connect-flash", dropIn] : [dropIn]);
      testsPass(folder);
      assert.match(codemod(folder, ".").stdout, / 0 changed\./, "a second run finds nothing");
    });

    test("passes its tests on sojourn itself, and is told what to look at", (t) => {
      const folder = copyOf(t, name);
      const { status, stdout } = codemod(folder, "--native", ".");
      assert.equal(status, 0, stdout);
      assert.deepEqual(modules(folder), imports);
      for (const pattern of told) assert.match(stdout, pattern);
      // What is listed is where the list says.
      for (const [, file = "", line, text] of stdout.matchAll(/^ {2}(\S+):(\d+) {2}(.*)$/gm)) {
        const found = sources(folder).get(file)?.split("\n")[Number(line) - 1];
        assert.equal(found?.trim(), `// sojourn-codemod: ${text}`);
      }
      testsPass(folder);
      assert.match(codemod(folder, "--native", ".").stdout, / 0 changed\./, "a second run finds nothing");
    });
  });

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
  for (const args of [[], ["--nativ", "."], ["nowhere"]]) {
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

/** A copy in which the packages are found; Sojourn is this repository's source. */
function copyOf(t: TestContext, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-codemod-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  for (const found of readdirSync(join(root, "node_modules")))
    if (!found.startsWith(".")) symlinkSync(join(root, "node_modules", found), join(modules, found));
  symlinkSync(root, join(modules, "sojourn"));
  cpSync(join(apps, "browser.mjs"), join(folder, "browser.mjs"));
  const app = join(folder, "app");
  cpSync(join(apps, name), app, { recursive: true });
  const manifest = { private: true, type: name === "redis-typescript" ? "module" : "commonjs" };
  writeFileSync(join(app, "package.json"), JSON.stringify(manifest));
  return app;
}

function codemod(folder: string, ...args: string[]) {
  return spawnSync(process.execPath, [cli, ...args], { cwd: folder, encoding: "utf8" });
}

function sources(folder: string): Map<string, string> {
  const files = globSync("**/*.{js,mjs,ts}", { cwd: folder }).sort();
  return new Map(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}

/** The session modules that an application names, its tests aside. */
function modules(folder: string): string[] {
  const found = [...sources(folder)]
    .filter(([file]) => !file.includes(".test."))
    .flatMap(([, text]) => [
      ...text.matchAll(/["']((?:sojourn|express-session|cookie-session|connect-flash)(?:\/[\w-]+)*)["']/g),
    ])
    .map(([, module = ""]) => module);
  return [...new Set(found)].sort();
}

function testsPass(folder: string): void {
  const [file = ""] = globSync("*.test.*", { cwd: folder });
  const flags = ["--conditions=sojourn-source", "--disable-warning=ExperimentalWarning", "--test-reporter=tap"];
  // Without the variable that makes a test report to the one that started it.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, file], {
    cwd: folder,
    encoding: "utf8",
    timeout: 30_000,
    env: { ...env, REDIS_URL: sharedRedis.url, NODE_ENV: "test" },
  });
  const shown = [...sources(folder)].map(([name, text]) => `--- ${name}\n${text}`).join("\n");
  assert.equal(status, 0, `${stdout}${stderr}\n${shown}`);
  assert.match(stdout, /^ok 1 - /m);
  assert.equal(dirname(file), ".");
}
