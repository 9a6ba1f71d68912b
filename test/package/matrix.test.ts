import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { tools } from "../../scripts/cached-tools.ts";
import { createEmptyApp, type EmptyApp } from "../../scripts/empty-app.ts";
import { root } from "../../scripts/package.ts";

/**
 * The packed package under the tools that applications are tested, compiled and bundled with. Each case builds a small application and
 * runs it. The tools have a manifest and a lock of their own, in `matrix/`.
 */
const node = process.execPath;
const CLIENTS = ["ioredis", "pg"];
/** For all of a suite: the runner's own bound is for one test. */
const LONG_MS = 8 * 60_000;
const DONE = "the scenario is done";

let matrix: string;
let app: EmptyApp;
/** With the clients of two databases installed. */
let rich: EmptyApp;
/** For bundles: no package can be found from here. */
let away: string;

before(() => {
  matrix = tools(join(root, "test/package/matrix"));
  app = createEmptyApp({ aliases: true });
  rich = createEmptyApp();
  for (const name of CLIENTS) rich.link(name);
  away = mkdtempSync(join(tmpdir(), "sojourn-bundles-"));
});
after(() => {
  app?.remove();
  rich?.remove();
  if (away !== undefined) rmSync(away, { recursive: true, force: true });
});

/** What a program prints. Throws with all of it when the program fails. */
async function run(cwd: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(node, args, {
      cwd,
      env: { ...process.env, NODE_ENV: "test", NO_COLOR: "1", ...env },
      timeout: 110_000,
    });
    return stdout + stderr;
  } catch (error) {
    const { stdout = "", stderr = "" } = Object(error);
    throw new Error(`${args.join(" ")} in ${cwd} failed\n${stdout}${stderr}`, { cause: error });
  }
}

const of = (file: string) => join(matrix, "node_modules", file);

describe("without a tool", { concurrency: 2 }, () => {
  for (const file of ["world.cjs", "world.mjs"])
    test(`${file} runs`, async () => assert.match(await run(app.folder, [`matrix/${file}`]), /scenario is done/));

  test("no Node needs to require an ES module", async () => {
    const options = ["--no-experimental-require-module"];
    assert.match(await run(app.folder, [...options, "matrix/world.cjs"]), /scenario is done/);
    await run(app.folder, [...options, "matrix/same.mjs"]);
  });

  test("import and require share one copy of the code and its state", async () =>
    void (await run(app.folder, ["matrix/same.mjs"])));

  test("the aliases are the drop-ins themselves", async () =>
    assert.match(await run(app.folder, ["matrix/aliases.cjs"]), /aliases work/));
});

describe("test runners, without any flag", { concurrency: 2 }, () => {
  const jest = (name: string, version: string, config: Record<string, unknown>) => {
    const file = join(app.folder, `${name}.json`);
    writeFileSync(file, JSON.stringify({ rootDir: join(app.folder, "matrix"), ...config }));
    return run(app.folder, [of(`jest-${version}/bin/jest.js`), "--config", file, "--no-cache", "--ci"]);
  };
  for (const version of ["29", "30"]) {
    test(`Jest ${version}`, async () => {
      const said = await jest(`jest-${version}`, version, { transform: {}, testMatch: ["**/world.test.cjs"] });
      assert.match(said, /2 passed/);
    });

    test(`Jest ${version} with Babel`, async () => {
      const preset = [of("@babel/preset-env"), { targets: { node: "current" } }];
      const transform = { "\\.js$": [of("babel-jest"), { configFile: false, presets: [preset] }] };
      const said = await jest(`babel-${version}`, version, { transform, testMatch: ["**/babel.test.js"] });
      assert.match(said, /1 passed/);
    });
  }

  test("Vitest", async () => {
    const said = await run(join(app.folder, "matrix"), [of("vitest/vitest.mjs"), "run", "world.spec.mjs"]);
    assert.match(said, /Tests +2 passed/);
  });
});

describe("bundlers", { concurrency: 2, timeout: LONG_MS }, () => {
  let bundles = 0;
  const bundle = async (folder: string, bundler: string, format: string, entry: string, to = away, external = "") => {
    bundles += 1;
    // A folder for each, because some bundlers make several files.
    const output = join(to, `bundle-${bundles}`, `main.${format === "esm" ? "mjs" : "cjs"}`);
    mkdirSync(join(output, ".."));
    await run(folder, ["matrix/bundle.mjs", matrix, bundler, format, `matrix/${entry}`, output, external]);
    return output;
  };

  for (const [bundler, format, entry] of [
    ["esbuild", "cjs", "world.cjs"],
    ["esbuild", "cjs", "world.mjs"],
    ["esbuild", "esm", "world.mjs"],
    ["webpack", "cjs", "world.cjs"],
    ["webpack", "esm", "world.mjs"],
    ["rollup", "cjs", "world.mjs"],
    ["rollup", "esm", "world.mjs"],
    ["vite", "cjs", "world.mjs"],
    ["vite", "esm", "world.mjs"],
    ["ncc", "cjs", "world.cjs"],
  ] as const)
    test(`${bundler} bundles ${entry} (${format}), which runs without the databases' clients`, async () => {
      const output = await bundle(app.folder, bundler, format, entry);
      assert.match(await run(away, [output]), new RegExp(DONE));
    });

  for (const [bundler, format, entry] of [
    ["esbuild", "cjs", "world.mjs"],
    ["webpack", "esm", "world.mjs"],
    ["rollup", "esm", "world.mjs"],
    ["ncc", "cjs", "world.cjs"],
  ] as const)
    test(`${bundler} bundles installed clients, too (${format})`, async () => {
      const output = await bundle(rich.folder, bundler, format, entry);
      assert.match(await run(away, [output], { CLIENTS: CLIENTS.join() }), new RegExp(DONE));
    });

  // A file of another name in the application's folder, from where the clients can be found.
  for (const [bundler, format] of [
    ["esbuild", "cjs"],
    ["esbuild", "esm"],
    ["vite", "esm"],
  ] as const)
    test(`${bundler} leaves clients out that are external, and they are found later (${format})`, async () => {
      const output = await bundle(rich.folder, bundler, format, "world.mjs", rich.folder, CLIENTS.join());
      assert.match(await run(rich.folder, [output], { CLIENTS: CLIENTS.join() }), new RegExp(DONE));
    });

  for (const bundler of ["esbuild", "webpack"])
    test(`${bundler} bundles the aliases`, async () => {
      const output = await bundle(app.folder, bundler, "cjs", "aliases.cjs");
      assert.match(await run(away, [output]), /aliases work/);
    });
});

describe("compilers", { concurrency: 2, timeout: LONG_MS }, () => {
  let plain: EmptyApp;
  before(() => {
    plain = createEmptyApp();
    for (const name of ["@types/node", "undici-types", "express", "@types/express", "@types/express-session"])
      plain.link(name);
  });
  after(() => plain?.remove());

  let projects = 0;
  const compile = (version: string, files: string[], options: Record<string, unknown>) => {
    projects += 1;
    const file = join(plain.folder, `tsconfig.${projects}.json`);
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: true,
      noEmit: true,
      target: "es2022",
      types: ["node"],
      ...options,
    };
    writeFileSync(file, JSON.stringify({ compilerOptions, files: files.map((name) => `types/both/${name}`) }));
    return run(plain.folder, [of(`typescript-${version}/bin/tsc`), "-p", file]);
  };
  const nodenext = { module: "nodenext" };
  const bundler = { module: "esnext", moduleResolution: "bundler" };
  const together = ["checked.mts", "drop-ins.mts", "options.mts", "original.mts"];

  for (const version of ["5.4", "5.9", "6.0", "7.0"]) {
    test(`TypeScript ${version}: req.session is ours, whatever is imported above`, async () => {
      for (const options of [nodenext, bundler]) await compile(version, ["esm.mts"], options);
    });

    test(`TypeScript ${version}: CommonJS and ES modules in one program`, async () => {
      await compile(version, ["cjs.cts", ...together], version === "5.4" ? { module: "node16" } : nodenext);
      await compile(version, together, bundler);
    });

    test(`TypeScript ${version} refuses data of the name of a session's member`, () =>
      assert.rejects(
        compile(version, ["reserved.mts"], nodenext),
        /'userId' must be of type '"req\.session has a member/,
      ));
  }

  for (const [version, options] of [
    ["5.4", {}],
    ["5.9", {}],
    ["6.0", { ignoreDeprecations: "6.0" }],
  ] as const)
    test(`TypeScript ${version}, node10: import = require()`, async () => {
      const node10 = { module: "commonjs", moduleResolution: "node10", ...options };
      await compile(version, ["cjs.cts", "options.mts"], node10);
    });

  for (const [version, module] of [
    ["5.4", "commonjs"],
    ["5.9", "node16"],
    ["7.0", "nodenext"],
  ] as const)
    test(`what TypeScript ${version} makes of CommonJS runs (${module})`, async () => {
      const outDir = `out-${version}`;
      const resolution = module === "commonjs" ? { moduleResolution: "node10" } : {};
      await compile(version, ["cjs.cts"], { module, ...resolution, noEmit: false, outDir, rootDir: "types/both" });
      assert.match(await run(plain.folder, [`${outDir}/cjs.cjs`]), /compiled, and runs/);
    });

  // A file without imports and exports is a script, and what it declares is another module of that name.
  for (const version of ["5.9", "7.0"])
    test(`TypeScript ${version}: declarations in a script don't hide the module without a word`, () =>
      assert.rejects(
        compile(version, ["script.ts", "beside-script.ts"], { ...bundler, moduleDetection: "legacy" }),
        /Module '"sojourn"' has no exported member 'session'/,
      ));
});
