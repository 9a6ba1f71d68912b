import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { root } from "./package.ts";

/**
 * The documentation's web site: `npm run docs` serves it while you write, `npm run docs:build` makes static files in
 * `site/.vitepress/dist`, `npm run docs:check` looks at these in a browser.
 *
 * Installs the site's packages the first time and when their lock has changed since. Nothing else needs a network.
 */
const folder = join(root, "site");
const modules = join(folder, "node_modules");

const installed = join(modules, ".package-lock.json");
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(folder, "package-lock.json")).mtimeMs)
  run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]);

const bin = (name: string, ...args: string[]) => run([process.execPath, join(modules, name), ...args]);
const command = process.argv[2];
switch (command) {
  case "serve":
    reference();
    bin("vitepress/bin/vitepress.js", "dev");
    break;
  case "build":
    reference();
    bin("vitepress/bin/vitepress.js", "build");
    break;
  case "check":
    run([process.execPath, "--test", join(folder, "check/site.test.ts")]);
    break;
  default:
    throw new Error(`${command} is no command: serve, build, check`);
}

/** The pages of the reference, from the docstrings, into `docs/reference/`. */
function reference(): void {
  bin("typedoc/bin/typedoc", "--logLevel", "Error");
}

function run([name = "", ...args]: string[]): void {
  const { status, error } = spawnSync(name, args, { cwd: folder, stdio: "inherit" });
  if (status !== 0) {
    if (error) throw error;
    process.exit(status ?? 1);
  }
}
