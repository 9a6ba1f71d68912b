import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { checkArchitecture, type Violation } from "../scripts/architecture/rules.ts";
import { root } from "../scripts/package.ts";

const MANIFEST = {
  name: "sojourn",
  dependencies: { listed: "1" },
  peerDependencies: { pg: "8" },
  peerDependenciesMeta: { pg: { optional: true } },
};

/** A small house in which every rule is kept. */
const HOUSE: Record<string, string> = {
  "src/index.ts": `export * from "./http/middleware.ts";\nexport { MemoryStore } from "./stores/memory.ts";`,
  "src/http/middleware.ts": `import type { ServerResponse } from "node:http";\nimport "../core/manager.ts";\nimport "../tokens/token.ts";`,
  "src/http/held-response.ts": `export const hold = (res: { end: unknown }) => { res.end = () => {}; };`,
  "src/core/manager.ts": `import type { Record } from "../stores/store.ts";\nimport { now } from "./clock.ts";\nimport { inspect } from "node:util";`,
  "src/core/clock.ts": `export const now = Date.now;\nexport const later = setTimeout;`,
  "src/core/errors.ts": `export class SojournError extends Error {}`,
  "src/tokens/token.ts": `import { randomBytes } from "node:crypto";`,
  "src/stores/store.ts": `export interface Record { at: Date }`,
  "src/stores/memory.ts": `import type { Record } from "./store.ts";\nimport "../core/errors.ts";\nimport "../core/clock.ts";`,
  "src/testing/index.ts": `import "../core/manager.ts";\nimport "../stores/memory.ts";`,
};

const folder = mkdtempSync(join(tmpdir(), "sojourn-architecture-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let houses = 0;

/** Builds the small house with some files changed. */
function build(changes: Record<string, string>): string {
  const house = join(folder, String(++houses));
  for (const [file, text] of Object.entries({ ...HOUSE, "package.json": JSON.stringify(MANIFEST), ...changes })) {
    mkdirSync(dirname(join(house, file)), { recursive: true });
    writeFileSync(join(house, file), text);
  }
  return house;
}

const violations = (changes: Record<string, string>): Violation[] => checkArchitecture(build(changes));

/** One file changed; which rule breaks in it. */
const breaks: { title: string; file: string; text: string; rule: Violation["rule"]; says: RegExp }[] = [
  ...[
    ["tokens import core", "src/tokens/token.ts", `import "../core/errors.ts";`],
    ["core imports http", "src/core/manager.ts", `import "../http/middleware.ts";`],
    ["core imports a type of http", "src/core/manager.ts", `import type { X } from "../http/middleware.ts";`],
    ["core names a type of http inline", "src/core/manager.ts", `export type X = import("../http/middleware.ts").X;`],
    ["core re-exports http", "src/core/manager.ts", `export { X } from "../http/middleware.ts";`],
    ["core imports a store", "src/core/manager.ts", `import "../stores/memory.ts";`],
    ["core loads a store late", "src/core/manager.ts", `export const load = () => import("../stores/memory.ts");`],
    ["http imports a store that isn't the default", "src/http/middleware.ts", `import "../stores/sqlite.ts";`],
    ["http imports compat", "src/http/middleware.ts", `import "../compat/cookie-session.ts";`],
    ["the public face loads SQLite", "src/index.ts", `export * from "./stores/sqlite.ts";`],
    ["a store imports the manager", "src/stores/memory.ts", `import "../core/manager.ts";`],
    ["a store imports http", "src/stores/memory.ts", `import "../http/middleware.ts";`],
    ["the contract imports something", "src/stores/store.ts", `import "../core/errors.ts";`],
    ["the contract imports a store", "src/stores/store.ts", `import "./memory.ts";`],
    ["testing imports http", "src/testing/index.ts", `import "../http/middleware.ts";`],
    ["testing imports compat", "src/testing/index.ts", `import "../compat/cookie-session.ts";`],
    ["http imports testing", "src/http/middleware.ts", `import "../testing/index.ts";`],
    ["the public face imports testing", "src/index.ts", `export * from "./testing/index.ts";`],
    ["src imports a test", "src/http/middleware.ts", `import "../../test/helper.ts";`],
    ["src imports an example", "src/index.ts", `import "../examples/app.ts";`],
  ].map(([title = "", file = "", text = ""]) => ({ title, file, text, rule: "floors" as const, says: /may import/ })),
  {
    title: "a file outside the floors",
    file: "src/helpers/strings.ts",
    text: "export {};",
    rule: "floors",
    says: /on no floor/,
  },
  {
    title: "an import that leads nowhere",
    file: "src/core/manager.ts",
    text: `import "./gone.ts";`,
    rule: "resolution",
    says: /isn't there/,
  },
  {
    title: "a computed import",
    file: "src/stores/memory.ts",
    text: `export const load = (name: string) => import(name);`,
    rule: "resolution",
    says: /computed name/,
  },
  ...[
    ["core imports the types of node:http", "src/core/manager.ts", `import type { ServerResponse } from "node:http";`],
    ["a store imports node:http", "src/stores/memory.ts", `import "node:http";`],
    ["core imports node:crypto", "src/core/manager.ts", `import { randomBytes } from "node:crypto";`],
    ["core imports a module of Node without its prefix", "src/core/manager.ts", `import "fs";`],
    ["core gets a module of Node by require", "src/core/manager.ts", `export const fs = require("node:fs");`],
    ["http imports timers", "src/http/middleware.ts", `import { setTimeout } from "node:timers/promises";`],
  ].map(([title = "", file = "", text = ""]) => ({ title, file, text, rule: "builtins" as const, says: /may import/ })),
  {
    title: "a store loads node:sqlite at once",
    file: "src/stores/memory.ts",
    text: `import { DatabaseSync } from "node:sqlite";`,
    rule: "builtins",
    says: /Node 20 hasn't/,
  },
  {
    title: "an unlisted package",
    file: "src/http/middleware.ts",
    text: `import type { Request } from "express";`,
    rule: "packages",
    says: /express.*users won't have it/,
  },
  {
    title: "an unlisted package of a scope",
    file: "src/http/middleware.ts",
    text: `import "@scope/name/sub";`,
    rule: "packages",
    says: /imports @scope\/name,/,
  },
  {
    title: "an optional peer, loaded at once",
    file: "src/stores/memory.ts",
    text: `import pg from "pg";`,
    rule: "packages",
    says: /may be missing/,
  },
  {
    title: "the package by its own name",
    file: "src/testing/index.ts",
    text: `import "sojourn/memory";`,
    rule: "packages",
    says: /name the file/,
  },
  ...[
    "Date.now()",
    "new Date()",
    "Date()",
    "performance.now()",
    "setTimeout(() => {}, 1)",
    "setInterval(() => {}, 1)",
    "{ now: Date.now }",
    "globalThis.setTimeout",
    "process.hrtime.bigint()",
    "AbortSignal.timeout(5)",
    "[setTimeout]",
  ].map((expression) => ({
    title: `${expression} outside the clock`,
    file: "src/core/manager.ts",
    text: `export const x = ${expression};`,
    rule: "clock" as const,
    says: /only src\/core\/clock\.ts reads the time/,
  })),
  {
    title: "the global crypto outside tokens",
    file: "src/core/manager.ts",
    text: "export const id = crypto.randomUUID();",
    rule: "randomness",
    says: /made in src\/tokens/,
  },
  {
    title: "Math.random",
    file: "src/tokens/token.ts",
    text: "export const id = Math.random();",
    rule: "randomness",
    says: /can be predicted/,
  },
  ...[
    "res.writeHead = x;",
    `res["write"] = x;`,
    "res.end ??= x;",
    "req.res.flushHeaders = x;",
    "delete res.setHeader;",
    `Object.defineProperty(res, "headersSent", { get: x });`,
    "Object.assign(res, { end() {} });",
    "Object.defineProperties(res, { write: { value: x } });",
    `Reflect.set(res, "end", x);`,
  ].map((statement) => ({
    title: `${statement} outside the held response`,
    file: "src/http/middleware.ts",
    text: statement,
    rule: "response" as const,
    says: /only src\/http\/held-response\.ts patches a response/,
  })),
];

/** Allowed, though it looks like one of the above. */
const keeps: { title: string; file: string; text: string }[] = [
  {
    title: "a date made of a time",
    file: "src/core/manager.ts",
    text: "export const at = (ms: number) => new Date(ms);",
  },
  {
    title: "a test for a date",
    file: "src/core/manager.ts",
    text: "export const is = (x: unknown) => x instanceof Date;",
  },
  { title: "Date.parse", file: "src/core/manager.ts", text: "export const at = Date.parse;" },
  { title: "the type of a timer", file: "src/core/manager.ts", text: "export type T = ReturnType<typeof setTimeout>;" },
  { title: "another thing's setTimeout", file: "src/core/manager.ts", text: "declare const s: any; s.setTimeout(1);" },
  { title: "a pause of random length", file: "src/core/manager.ts", text: "export const ms = () => Math.random();" },
  { title: "setImmediate", file: "src/core/manager.ts", text: "setImmediate(() => {}); process.nextTick(() => {});" },
  {
    title: "time told in a comment",
    file: "src/core/manager.ts",
    text: `// Date.now()\nexport const x = "Date.now()";`,
  },
  {
    title: "calling a response",
    file: "src/http/middleware.ts",
    text: "declare const res: any; res.end(); res.statusCode = 204;",
  },
  { title: "a listed package", file: "src/http/middleware.ts", text: `import "listed/sub";` },
  { title: "the types of an optional peer", file: "src/stores/memory.ts", text: `import type { Pool } from "pg";` },
  { title: "an optional peer, late", file: "src/stores/memory.ts", text: `export const load = () => import("pg");` },
  { title: "node:sqlite, late", file: "src/stores/memory.ts", text: `process.getBuiltinModule("node:sqlite");` },
  { title: "a helper beside a store", file: "src/stores/helper.ts", text: `import "./memory.ts";` },
];

describe("the rules of the architecture", () => {
  test("hold in a house that keeps them", () => assert.deepEqual(violations({}), []));

  for (const { title, file, text, rule, says } of breaks)
    test(`refuse: ${title}`, () => {
      const found = violations({ [file]: text, ...targets(file) }).filter((violation) => violation.file === file);
      assert.deepEqual(
        found.map((violation) => violation.rule),
        [rule],
      );
      assert.match(found[0]?.message ?? "", says);
    });

  for (const { title, file, text } of keeps)
    test(`allow: ${title}`, () => assert.deepEqual(violations({ [file]: text }), []));

  test("refuse circles, those of types too, and print the way round", () => {
    const found = violations({
      "src/core/a.ts": `import type { B } from "./b.ts";\nexport type A = B;`,
      "src/core/b.ts": `\nimport { A } from "./c.ts";`,
      "src/core/c.ts": `export * from "./a.ts";`,
    });
    assert.equal(found.length, 1);
    assert.equal(found[0]?.rule, "circles");
    assert.match(found[0]?.message ?? "", /src\/core\/c\.ts → src\/core\/a\.ts → src\/core\/b\.ts → src\/core\/c\.ts/);
  });

  test("name the line", () => {
    const [found] = violations({ "src/core/manager.ts": `\n\nexport const x = Date.now();` });
    assert.equal(found?.line, 3);
  });
});

test("the command fails with the reason where a rule is broken, and passes where none is", () => {
  const command = join(root, "scripts/check-architecture.ts");
  const run = (house: string) => spawnSync(process.execPath, [command, house], { encoding: "utf8" });
  const broken = run(build({ "src/core/manager.ts": "export const x = Date.now();" }));
  assert.equal(broken.status, 1);
  assert.match(broken.stderr, /src\/core\/manager\.ts:1 \[clock\] .*only src\/core\/clock\.ts reads the time/);
  assert.equal(run(build({})).status, 0);
});

/** The files that a broken import leads to have to be there, or another rule would speak up. Never the one under test. */
function targets(except: string): Record<string, string> {
  const files = ["src/compat/cookie-session.ts", "src/stores/sqlite.ts", "test/helper.ts", "examples/app.ts"];
  return Object.fromEntries(files.filter((file) => file !== except).map((file) => [file, "export {};"]));
}
