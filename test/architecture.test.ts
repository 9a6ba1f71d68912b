import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { installedTools } from "../scripts/cached-tools.ts";
import { root } from "../scripts/package.ts";

/** The rules of `.dependency-cruiser.mjs` and `biome.json`, in small houses where they are kept and broken: a rule must be able to fail. */
const MANIFEST = {
  name: "sojourn",
  dependencies: { listed: "1" },
  devDependencies: { express: "5", pg: "8" },
  peerDependencies: { pg: "8" },
  peerDependenciesMeta: { pg: { optional: true } },
};

/** A small house in which every rule is kept. */
const HOUSE: Record<string, string> = {
  "src/index.ts": `export * from "./http/middleware.ts";\nexport { MemoryStore } from "./stores/memory.ts";`,
  "src/http/middleware.ts": `import type { ServerResponse } from "node:http";\nimport "../session/manager.ts";\nimport "../crypto/token.ts";`,
  "src/http/held-response.ts": `export const hold = (res: { end: unknown }) => { res.end = () => {}; };`,
  "src/session/manager.ts": `import type { Record } from "../contract/store.ts";\nimport { now } from "../contract/time.ts";\nimport { inspect } from "node:util";`,
  "src/contract/time.ts": `export const now = Date.now;\nexport const later = setTimeout;`,
  "src/contract/errors.ts": `export class SojournError extends Error {}`,
  "src/crypto/token.ts": `import { randomBytes } from "node:crypto";\nexport const id = crypto.randomUUID();`,
  "src/contract/store.ts": `export interface Record { at: Date }`,
  "src/stores/memory.ts": `import type { Record } from "../contract/store.ts";\nimport "../contract/errors.ts";\nimport "../contract/time.ts";`,
  "src/stores/sqlite.ts": "export {};",
  "src/stores/optional-package.ts": "export const load = (name: string) => import(name);",
  "src/compat/cookie-session.ts": "export {};",
  "src/identity/csrf.ts": `import "../http/middleware.ts";`,
  "src/testing/index.ts": `import "../session/manager.ts";\nimport "../stores/memory.ts";`,
  "test/helper.ts": "export {};",
  "examples/app.ts": "export {};",
  "package.json": JSON.stringify(MANIFEST),
  ...Object.fromEntries(
    ["listed", "express", "pg"].flatMap((name) => [
      [`node_modules/${name}/package.json`, JSON.stringify({ name, main: "main.js" })],
      [`node_modules/${name}/main.js`, ""],
      [`node_modules/${name}/sub.js`, ""],
    ]),
  ),
};

/** A file that is added or changed, and the rule that it breaks: none, where it is allowed though it looks like one that is not. */
interface Case {
  title: string;
  file: string;
  text: string;
  rule?: string;
}

const folder = mkdtempSync(join(tmpdir(), "sojourn-architecture-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let houses = 0;

function build(changes: Record<string, string>): string {
  const house = join(folder, String(++houses));
  for (const [file, text] of Object.entries({ ...HOUSE, ...changes })) {
    mkdirSync(dirname(join(house, file)), { recursive: true });
    writeFileSync(join(house, file), text);
  }
  return house;
}

function run(house: string, program: string, ...args: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, [program, ...args], { cwd: house, encoding: "utf8" });
  assert.notEqual(stdout, "", stderr);
  return stdout;
}

/** As few houses as the cases need, because each takes a process: a file is in a house once. */
function shareHouses(cases: readonly Case[]): Case[][] {
  const shared: Case[][] = [];
  for (const entry of cases) {
    const house = shared.find((others) => others.every(({ file }) => file !== entry.file));
    if (house) house.push(entry);
    else shared.push([entry]);
  }
  return shared;
}

/** The rules that each file breaks, by what a tool finds in a house. */
type Found = Map<string, string[]>;

function testCases(cases: readonly Case[], find: (house: string) => Found): void {
  for (const shared of shareHouses(cases)) {
    let found: Found | undefined;
    const findOnce = () => {
      found ??= find(build(Object.fromEntries(shared.map(({ file, text }) => [file, text]))));
      return found;
    };
    for (const { title, file, rule } of shared)
      test(`${rule === undefined ? "allow" : "refuse"}: ${title}`, () =>
        assert.deepEqual(findOnce().get(file) ?? [], rule === undefined ? [] : [rule]));
  }
  test("hold in a house that keeps them", () => assert.deepEqual([...find(build({}))], []));
}

const tools = installedTools(join(root, "scripts/tools"));
const skip = tools === undefined && "npm run check installs dependency-cruiser";

describe("who may import what", { skip }, () => {
  const program = join(tools ?? "", "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");

  const cruise = (house: string) => {
    const config = join(root, ".dependency-cruiser.mjs");
    const { summary }: { summary: { violations: Violation[] } } = JSON.parse(
      run(house, program, "--config", config, "--output-type", "json", "src"),
    );
    return summary.violations;
  };

  const floors = (
    [
      ["crypto import core", "src/crypto/a.ts", `import "../session/manager.ts";`, "crypto"],
      ["session imports http", "src/session/a.ts", `import "../http/middleware.ts";`, "session"],
      [
        "session imports a type of http",
        "src/session/b.ts",
        `import type { X } from "../http/middleware.ts";`,
        "session",
      ],
      [
        "session names a type of http inline",
        "src/session/c.ts",
        `type X = import("../http/middleware.ts").X;`,
        "session",
      ],
      ["session re-exports http", "src/session/d.ts", `export { X } from "../http/middleware.ts";`, "session"],
      ["session imports a store", "src/session/e.ts", `import "../stores/memory.ts";`, "session"],
      [
        "session loads a store late",
        "src/session/f.ts",
        `export const f = () => import("../stores/memory.ts");`,
        "session",
      ],
      ["http imports a store that isn't the default", "src/http/a.ts", `import "../stores/sqlite.ts";`, "http"],
      ["http imports compat", "src/http/b.ts", `import "../compat/cookie-session.ts";`, "http"],
      ["http imports testing", "src/http/c.ts", `import "../testing/index.ts";`, "http"],
      ["src imports a test", "src/http/d.ts", `import "../../test/helper.ts";`, "http"],
      ["the public face loads SQLite", "src/index.ts", `export * from "./stores/sqlite.ts";`, "index"],
      ["the public face imports testing", "src/index.ts", `export * from "./testing/index.ts";`, "index"],
      ["src imports an example", "src/index.ts", `import "../examples/app.ts";`, "index"],
      ["a store imports the manager", "src/stores/a.ts", `import "../session/manager.ts";`, "stores"],
      ["a store imports http", "src/stores/b.ts", `import "../http/middleware.ts";`, "stores"],
      ["the contract imports something", "src/contract/store.ts", `import "../crypto/token.ts";`, "contract"],
      ["the contract imports a store", "src/contract/store.ts", `import "../stores/sqlite.ts";`, "contract"],
      ["http imports a guard", "src/http/f.ts", `import "../identity/csrf.ts";`, "http"],
      ["a guard imports a store", "src/identity/a.ts", `import "../stores/memory.ts";`, "identity"],
      ["testing imports http", "src/testing/a.ts", `import "../http/middleware.ts";`, "testing"],
      ["testing imports compat", "src/testing/b.ts", `import "../compat/cookie-session.ts";`, "testing"],
    ] as const
  ).map(([title, file, text, floor]) => ({ title, file, text, rule: `${floor}-imports-down` }));

  const builtins = (
    [
      [
        "session imports the types of node:http",
        "src/session/g.ts",
        `import type { Server } from "node:http";`,
        "session",
      ],
      ["a store imports node:http", "src/stores/c.ts", `import "node:http";`, "stores"],
      ["session imports node:crypto", "src/session/h.ts", `import { randomBytes } from "node:crypto";`, "session"],
      ["session imports a module of Node without its prefix", "src/session/i.ts", `import "fs";`, "session"],
      [
        "session gets a module of Node by require",
        "src/session/j.ts",
        `export const fs = require("node:fs");`,
        "session",
      ],
      ["session asks Node for a module", "src/session/k.ts", `process.getBuiltinModule("node:fs");`, "session"],
      ["http imports timers", "src/http/e.ts", `import { setTimeout } from "node:timers/promises";`, "http"],
    ] as const
  ).map(([title, file, text, floor]) => ({ title, file, text, rule: `${floor}-builtins` }));

  const others: Case[] = [
    { title: "a file outside the floors", file: "src/a/a.ts", text: "export {};", rule: "on-a-floor-alone" },
    { title: "an import that leads nowhere", file: "src/session/l.ts", text: `import "./gone.ts";`, rule: "resolves" },
    {
      title: "a store loads node:sqlite at once",
      file: "src/stores/d.ts",
      text: `import { DatabaseSync } from "node:sqlite";`,
      rule: "sqlite-late",
    },
    {
      title: "an unlisted package",
      file: "src/http/f.ts",
      text: `import type { Request } from "express";`,
      rule: "listed-packages",
    },
    {
      title: "a package of a scope that isn't there",
      file: "src/http/g.ts",
      text: `import "@scope/name/sub";`,
      rule: "resolves",
    },
    {
      title: "an optional client, loaded at once",
      file: "src/stores/postgres/a.ts",
      text: `import pg from "pg";`,
      rule: "optional-clients-late",
    },
    {
      title: "a client of another store",
      file: "src/stores/redis/a.ts",
      text: `import type { Pool } from "pg";`,
      rule: "pg-in-its-store",
    },
    { title: "a listed package", file: "src/http/h.ts", text: `import "listed/sub.js";` },
    {
      title: "the types of an optional client",
      file: "src/stores/postgres/b.ts",
      text: `import type { Pool } from "pg";`,
    },
    {
      title: "an optional client, late",
      file: "src/stores/postgres/c.ts",
      text: `export const load = () => import("pg");`,
    },
    { title: "node:sqlite, late", file: "src/stores/e.ts", text: `process.getBuiltinModule("node:sqlite");` },
    { title: "a helper beside a store", file: "src/stores/f.ts", text: `import "./memory.ts";` },
  ];

  testCases([...floors, ...builtins, ...others], (house) => {
    const found: Found = new Map();
    for (const { from, rule } of cruise(house)) found.set(from, [...(found.get(from) ?? []), rule.name]);
    return found;
  });

  test("refuse circles, those of types too, and print the way round", () => {
    const circle = {
      "src/session/a.ts": `import type { B } from "./b.ts";\nexport type A = B;`,
      "src/session/b.ts": `\nimport { A } from "./c.ts";`,
      "src/session/c.ts": `export * from "./a.ts";`,
    };
    const found = cruise(build(circle));
    assert.deepEqual(new Set(found.map(({ rule }) => rule.name)), new Set(["no-circles"]));
    assert.deepEqual(
      found.find(({ from }) => from === "src/session/a.ts")?.cycle?.map(({ name }) => name),
      ["src/session/b.ts", "src/session/c.ts", "src/session/a.ts"],
    );
  });

  test("say why where one is broken", () => {
    const said = run(
      build({ "src/session/a.ts": `import "../http/middleware.ts";` }),
      program,
      ...["--config", join(root, ".dependency-cruiser.mjs"), "--output-type", "err-long", "src"],
    );
    assert.match(
      said,
      /session-imports-down: src\/session\/a\.ts → src\/http\/middleware\.ts\s+It is the life of a session/,
    );
  });
});

interface Violation {
  from: string;
  rule: { name: string };
  cycle?: { name: string }[];
}

describe("who may read the time, make secrets and patch a response", () => {
  const program = join(root, "node_modules/@biomejs/biome/bin/biome");
  const lint = (house: string) => {
    for (const name of ["biome.json", "scripts/biome"])
      cpSync(join(root, name), join(house, name), { recursive: true });
    const args = ["lint", "--only=plugin", "--only=style/noRestrictedImports", "--max-diagnostics=none"];
    const report: { diagnostics: { message: string; location: { path: string } }[] } = JSON.parse(
      run(house, program, ...args, "--vcs-enabled=false", "--reporter=json", "src"),
    );
    return report.diagnostics;
  };

  const expressions = (prefix: string, rule: string | undefined, cases: readonly string[]): Case[] =>
    cases.map((text, index) => ({
      title: text,
      file: `${prefix}-${index}.ts`,
      text: `export const x = ${text};`,
      ...(rule && { rule }),
    }));
  const statements = (prefix: string, rule: string | undefined, cases: readonly string[]): Case[] =>
    cases.map((text, index) => ({ title: text, file: `${prefix}-${index}.ts`, text, ...(rule && { rule }) }));

  const cases = [
    ...expressions("src/session/time", "Only src/contract/time.ts reads the time", [
      "Date.now()",
      "new Date()",
      "new Date",
      "Date()",
      "performance.now()",
      "setTimeout(() => {}, 1)",
      "setInterval(() => {}, 1)",
      "{ now: Date.now }",
      'Date["now"]()',
      "globalThis.setTimeout",
      "globalThis.Date.now()",
      "process.hrtime.bigint()",
      "process.uptime()",
      "AbortSignal.timeout(5)",
      "[setTimeout]",
      "Reflect.construct(Date, [])",
    ]),
    ...expressions("src/session/secret", "Names and secrets are made in src/crypto", [
      "crypto.randomUUID()",
      "globalThis.crypto.randomUUID()",
    ]),
    ...expressions("src/crypto/chance", "Math.random can be predicted", ["Math.random()", "Math.random"]),
    ...statements("src/http/patch", "Only src/http/held-response.ts patches a response", [
      "res.writeHead = x;",
      `res["write"] = x;`,
      "res.end ??= x;",
      `res["end"] ??= x;`,
      "res.end ||= x;",
      "res.end &&= x;",
      "req.res.flushHeaders = x;",
      "delete res.setHeader;",
      `delete res["setHeader"];`,
      `Object.defineProperty(res, "headersSent", { get: x });`,
      "Object.assign(res, { end() {} });",
      "Object.assign(res, { other: 1, end: x });",
      "Object.assign(res, { end });",
      "Object.defineProperties(res, { write: { value: x } });",
      `Reflect.set(res, "end", x);`,
      `Reflect.deleteProperty(res, "end");`,
    ]),
    ...statements("src/stores/computed", "Nothing can check a module that is loaded by a computed name", [
      "export const load = (name: string) => import(name);",
      "export const load = (name: string) => require(name);",
      "export const load = (name: string) => process.getBuiltinModule(name);",
    ]),
    ...statements("src/testing/own-name", "Inside, name the file.", [`import "sojourn/memory";`, `import "sojourn";`]),
    ...statements("src/session/allowed", undefined, [
      "export const at = (ms: number) => new Date(ms);",
      "export const is = (x: unknown) => x instanceof Date;",
      "export const at = Date.parse;",
      "export type T = ReturnType<typeof setTimeout>;",
      "declare const s: any; s.setTimeout(1);",
      "export const ms = () => Math.random();",
      "setImmediate(() => {}); process.nextTick(() => {});",
      `// Date.now()\nexport const x = "Date.now()";`,
      `export const load = () => import("pg");`,
    ]),
    ...statements("src/http/allowed", undefined, [
      "declare const res: any; res.end(); res.statusCode = 204;",
      "export class A { end = 1; stop() { this.end = 2; } }",
      "declare const res: any; Object.assign(res, { a: { end: 1 } });",
    ]),
  ];

  testCases(cases, (house) => {
    const found: Found = new Map();
    for (const { message, location } of lint(house)) {
      const file = `src/${location.path
        .split("/src/")
        .at(-1)
        ?.replace(/^src\//, "")}`;
      const rule = cases.find(({ rule }) => rule !== undefined && message.startsWith(rule))?.rule ?? message;
      found.set(file, [...(found.get(file) ?? []), rule]);
    }
    return found;
  });
});
