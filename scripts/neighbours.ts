import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./package.ts";

/**
 * Runs the tests with other libraries: `npm run test:neighbours [-- <path or part of one>…] [--name <pattern>]`.
 *
 * Installs those libraries the first time and when their lock has changed since. Packs Sojourn and unpacks it beside them: the tests
 * load what users get.
 */
const folder = join(root, "test/neighbours");
const modules = join(folder, "node_modules");

installNeighbours();
installPackage();

const { status } = spawnSync(process.execPath, [join(root, "scripts/test.ts"), "--packed", ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
process.exitCode = status ?? 1;

function installNeighbours(): void {
  const installed = join(modules, ".package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(folder, "package-lock.json")).mtimeMs)
    return;
  console.log("Installing the neighbours (npm ci in test/neighbours) …");
  run("npm", "ci", "--prefix", folder, "--no-audit", "--no-fund");
}

function installPackage(): void {
  const packed = mkdtempSync(join(tmpdir(), "sojourn-packed-"));
  try {
    run("npm", "pack", "--silent", "--pack-destination", packed);
    const [tarball = ""] = readdirSync(packed);
    const place = join(modules, "sojourn");
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place);
    run("tar", "-xzf", join(packed, tarball), "--strip-components=1", "-C", place);
  } finally {
    rmSync(packed, { recursive: true, force: true });
  }
}

function run(command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`${[command, ...args].join(" ")} failed`, { cause: error });
}
