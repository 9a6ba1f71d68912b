import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { createEmptyApp, type EmptyApp } from "../../scripts/empty-app.ts";
import { root } from "../../scripts/package.ts";
import { sharedMysql } from "../support/servers/mariadb.ts";
import { sharedPostgres } from "../support/servers/postgres.ts";
import { sharedRedis } from "../support/servers/redis.ts";
import { type Example, examplesIn, publicExamples, publicFunctions } from "./examples.ts";

/** Whose examples need a server. */
const SERVERS = new Map([
  ["sojourn/mysql: MysqlStore", sharedMysql],
  ["sojourn/postgres: PostgresStore", sharedPostgres],
  ["sojourn/redis: RedisStore", sharedRedis],
]);

/** What examples read of the environment, besides what has a default. */
const ENVIRONMENT = {
  ...process.env,
  DATABASE_URL: sharedPostgres.url,
  MYSQL_URL: sharedMysql.url,
  REDIS_URL: sharedRedis.url,
  SESSION_SECRET: "a secret of a test, long enough for all",
};

const examples = publicExamples();
const tsc = join(root, "node_modules/typescript/bin/tsc");

/** Complete programs import what they use. An example of a method is put into `apps/examples/context.mts`. */
const isProgram = ({ code }: Example) => /^import /m.test(code);
const declares = ({ code }: Example) => code.includes("declare module");

/** What an example of these finds besides: the session of an upgrade request, as `session`. */
const UPGRADE = "const session = await sessions.authenticateUpgrade(req);\nassert.ok(session);\n";

/** For all of them: the runner's own bound is for one test. */
const LONG_MS = 8 * 60_000;

describe("the examples of the documentation, in the packed declarations", { timeout: LONG_MS }, () => {
  let app: EmptyApp;
  let context: string;
  const programs = new Map<Example, string>();

  before(() => {
    app = createEmptyApp();
    for (const name of ["@types/node", "undici-types", "express", "@types/express", "ws", "@types/ws"]) app.link(name);
    for (const name of ["express-session", "@types/express-session", "zod"]) app.link(name);
    context = readFileSync(join(app.folder, "examples/context.mts"), "utf8");
    for (const [index, example] of examples.entries()) {
      const file = `examples/${index}-${example.of.replaceAll(/\W+/g, "-")}.mts`;
      writeFileSync(join(app.folder, file), isProgram(example) ? programOf(example.code) : inContext(example));
      programs.set(example, file);
    }
  });
  after(() => app?.remove());

  /** With requests to the application, if it makes one. */
  function programOf(code: string): string {
    if (!code.includes("const app = express()")) return code;
    const routes = [...code.matchAll(/^app\.(get|post)\("([^"]+)"/gm)].map(([, method, path]) => [
      method?.toUpperCase(),
      path,
    ]);
    return `${code}\nawait (await import("./requests.mts")).request(app, ${JSON.stringify(routes)});\n`;
  }

  function inContext({ of, code }: Example): string {
    const parts = context.split("// THE EXAMPLE\n");
    assert.equal(parts.length, 2);
    return parts.join(`${of.includes("UpgradeSession") ? UPGRADE : ""}${code}\n`);
  }

  const compile = (...files: string[]) =>
    app.compile(tsc, files, { module: "nodenext", skipLibCheck: true, allowImportingTsExtensions: true });

  test("are found where there are some, and nothing else is", () => {
    assert.ok(examples.length > 40, `${examples.length}`);
    assert.deepEqual(examplesIn("/** What. @example no */"), []);
    assert.deepEqual(examplesIn("/**\n * What.\n *\n * @example\n * one();\n *   two();\n * @throws X\n */"), [
      "one();\n  two();",
    ]);
    const owners = examples.map(({ of }) => of);
    for (const owner of ["sojourn: session", "sojourn: SessionMembers.login", "sojourn/express-session: Store"])
      assert.ok(owners.includes(owner), owner);
  });

  test("every exported function and class has one", () => {
    const functions = publicFunctions();
    assert.ok(functions.length > 20, `${functions.length}`);
    const without = functions.filter(({ hasExample }) => !hasExample).map(({ of }) => of);
    assert.deepEqual(without, []);
  });

  test("compile: one program for all, and one for each that declares data", () => {
    const files = (some: Example[]) => some.map((example) => programs.get(example) ?? "");
    compile(...files(examples.filter((example) => isProgram(example) && !declares(example))));
    compile(...files(examples.filter((example) => !isProgram(example))));
    for (const file of files(examples.filter((example) => isProgram(example) && declares(example)))) compile(file);
  });

  describe("run", { concurrency: 2, timeout: LONG_MS }, () => {
    const run = async (example: Example) => {
      const file = programs.get(example) ?? "";
      await promisify(execFile)(process.execPath, [file], { cwd: app.folder, env: ENVIRONMENT, timeout: 60_000 });
    };
    for (const [index, example] of examples.entries()) {
      const { of } = example;
      test(`${index} ${of}`, { skip: SERVERS.get(of)?.skip ?? false }, () => run(example));
    }
  });
});
