import assert from "node:assert/strict";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { test } from "node:test";
import { type Any, load, type Middleware, pairOf, recorded, serve } from "./world.ts";

/**
 * What a request costs: the store's operations and the cookie, which users have tuned their options for, as with express-session;
 * and hashes of the whole session, of which there are none any more.
 */
let hashes = 0;
const { createHash } = crypto;
crypto.createHash = (...args: Parameters<typeof createHash>) => {
  hashes += 1;
  return createHash(...args);
};
syncBuiltinESMExports();
const libraries: Record<"theirs" | "ours", Any> = {
  theirs: load("express-session"),
  ours: load("../../src/compat/express-session.ts"),
};

const actions: Record<string, (req: Any, end: () => void) => void> = {
  read: (_req, end) => end(),
  write: (req, end) => {
    req.session.views = (req.session.views ?? 0) + 1;
    end();
  },
  "write and save": (req, end) => {
    req.session.views = (req.session.views ?? 0) + 1;
    req.session.save(end);
  },
  "regenerate and write": (req, end) =>
    req.session.regenerate(() => {
      req.session.views = 1;
      end();
    }),
  reload: (req, end) => req.session.reload(end),
  destroy: (req, end) => req.session.destroy(end),
  "change maxAge": (req, end) => {
    req.session.cookie.maxAge = 5000;
    end();
  },
};

interface Row {
  action: string;
  options?: object;
  hasCookie: boolean;
  operations: string;
  setsCookie: boolean;
  /** By express-session. Where a cookie came in, two of them compare its signature. */
  hashes: number;
}
const MAX_AGE = { cookie: { maxAge: 60_000 } };

const table: Row[] = [
  { action: "read", hasCookie: false, operations: "", setsCookie: false, hashes: 3 },
  {
    action: "read",
    options: { saveUninitialized: true },
    hasCookie: false,
    operations: "set",
    setsCookie: true,
    hashes: 3,
  },
  { action: "write", hasCookie: false, operations: "set", setsCookie: true, hashes: 4 },
  { action: "read", hasCookie: true, operations: "get touch", setsCookie: false, hashes: 5 },
  { action: "read", options: MAX_AGE, hasCookie: true, operations: "get touch", setsCookie: false, hashes: 6 },
  {
    action: "read",
    options: { ...MAX_AGE, rolling: true },
    hasCookie: true,
    operations: "get touch",
    setsCookie: true,
    hashes: 5,
  },
  { action: "read", options: { resave: true }, hasCookie: true, operations: "get set", setsCookie: false, hashes: 5 },
  { action: "write", hasCookie: true, operations: "get set", setsCookie: false, hashes: 5 },
  { action: "write", options: MAX_AGE, hasCookie: true, operations: "get set", setsCookie: true, hashes: 6 },
  { action: "write and save", hasCookie: true, operations: "get set touch", setsCookie: false, hashes: 6 },
  { action: "regenerate and write", hasCookie: true, operations: "get destroy set", setsCookie: true, hashes: 3 },
  { action: "reload", hasCookie: true, operations: "get get touch", setsCookie: false, hashes: 5 },
  { action: "destroy", hasCookie: true, operations: "get destroy", setsCookie: false, hashes: 3 },
  { action: "change maxAge", hasCookie: true, operations: "get touch", setsCookie: false, hashes: 6 },
];

for (const row of table) {
  const { action, options = {}, hasCookie, operations: expected, setsCookie } = row;
  test(`${action}, ${hasCookie ? "cookie" : "no cookie"}, ${JSON.stringify(options)}: ${expected || "nothing"}`, async (t) => {
    for (const [which, library] of Object.entries(libraries)) {
      const { store, operations } = recorded(new library.MemoryStore());
      const all = { secret: "keyboard cat", resave: false, saveUninitialized: false, store, ...options };
      let doing = "write";
      const client = await serve(t, library(all) as Middleware, (req, res) => actions[doing]?.(req, () => res.end()));
      const headers = hasCookie ? { cookie: pairOf((await client.get("/")).setCookies[0]) } : {};
      doing = action;
      operations.length = hashes = 0;
      const { setCookies } = await client.get("/", headers);
      assert.equal(operations.map((line) => line.split(" ")[0]).join(" "), expected, which);
      assert.equal(setCookies.length > 0, setsCookie, which);
      assert.equal(hashes, which === "ours" ? 0 : row.hashes, which);
    }
  });
}
