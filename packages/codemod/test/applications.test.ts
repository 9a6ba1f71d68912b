import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { root } from "../../../scripts/package.ts";
import { sharedRedis } from "../../../test/support/servers/redis.ts";
import { apps, codemod, copyOf, sources } from "./world.ts";

/** Each application has tests of its own: these pass before the codemod, after it, and after it with `--native`. */

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

test("what it makes of a TypeScript application on sojourn itself has right types", (t) => {
  const folder = copyOf(t, "redis-typescript");
  codemod(folder, "--native", ".");
  // Sojourn's source is compiled along, with the options that it needs.
  const options = { extends: join(root, "tsconfig.json"), compilerOptions: { rootDir: "/" }, include: ["app.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(options));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", "."], { cwd: folder, encoding: "utf8" });
  assert.equal(status, 0, `${stdout}\n${sources(folder).get("app.ts")}`);
});

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
}
