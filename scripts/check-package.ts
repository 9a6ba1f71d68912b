import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runtime, tool } from "./cached-tools.ts";
import { createEmptyApp } from "./empty-app.ts";
import { entryPoints, root } from "./package.ts";

/**
 * Runs the packed tarball on every supported line of Node, checks that a contributor can install on it, and reads the tarball's types with
 * the compiler that most users have. `npm run check-package`; the runtimes come from npm and are kept in `node_modules/.cache`.
 */
const NODES = ["20.19", "22", "24", "26"];
const COMPILER = "5.9";

const app = createEmptyApp();
let failures = 0;

function step(title: string, work: () => void): void {
  try {
    work();
    console.log(`ok      ${title}`);
  } catch (error) {
    failures++;
    console.error(`FAILED  ${title}\n${error instanceof Error ? error.message : error}`);
  }
}

try {
  const names = entryPoints().map(({ name }) => name);
  for (const version of NODES) {
    const node = runtime(version);
    const exact = app.run(node, "--version").trim();
    step(`Node ${exact}: npm ci has nothing to warn of`, () => {
      const { npm_execpath: npm = "" } = process.env;
      const options = ["--dry-run", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=warn"];
      const { status, stderr } = spawnSync(node, [npm, "ci", ...options], { cwd: root, encoding: "utf8" });
      if (status !== 0 || stderr.trim() !== "") throw new Error(stderr);
    });
    step(`Node ${exact}: import and require`, () => app.run(node, "entries.cjs", ...names));
    for (const program of ["core-alone.mjs", "memory.mjs", "memory.cjs", "sqlite.mjs", "open.mjs"])
      step(`Node ${exact}: ${program}`, () => app.run(node, program));
  }

  const tsc = tool("typescript", COMPILER, "bin/tsc");
  for (const name of ["@types/node", "undici-types", "express", "@types/express"]) app.link(name);
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["node16", "node16"],
    ["esnext", "bundler"],
    ["commonjs", "node10"],
  ])
    for (const file of ["types/plain.ts", "types/express.ts"])
      step(`TypeScript ${COMPILER}, ${moduleResolution}: ${file}`, () => {
        const skipLibCheck = file === "types/express.ts";
        app.compile(tsc, [file], { module, moduleResolution, esModuleInterop: true, skipLibCheck });
      });
  // What most programs with express-session are compiled by: `import session = require()` and `import * as session` too.
  const program = readFileSync(join(app.folder, "types/drop-in.cts"), "utf8");
  for (const [kind, text] of [
    ["import = require()", program],
    ["import *", program.replaceAll(/import (\w+) = require\((.+)\)/g, "import * as $1 from $2")],
  ] as const)
    step(`TypeScript ${COMPILER}, node10: sojourn/express-session by ${kind}`, () => {
      const file = "types/drop-in-commonjs.ts";
      writeFileSync(join(app.folder, file), text.replaceAll('"express-session"', '"sojourn/express-session"'));
      app.compile(tsc, [file], { module: "commonjs", moduleResolution: "node10", skipLibCheck: true });
    });
  step(`TypeScript ${COMPILER}, nodenext: types/commonjs.cts`, () =>
    app.compile(tsc, ["types/commonjs.cts"], { module: "nodenext", skipLibCheck: false }),
  );
} finally {
  app.remove();
}

if (failures > 0) {
  console.error(`\n${failures} checks of the package failed.`);
  process.exitCode = 1;
} else console.log("\nThe package works on every supported Node.");
