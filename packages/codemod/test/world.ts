import { spawnSync } from "node:child_process";
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { root } from "../../../scripts/package.ts";

/** Applications as tutorials teach them. */
export const apps: string = join(import.meta.dirname, "apps");
const cli = join(root, "packages/codemod/cli.js");

/** A copy in which the packages are found; Sojourn is this repository's source. */
export function copyOf(t: TestContext, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-codemod-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  for (const found of readdirSync(join(root, "node_modules")))
    if (!found.startsWith(".")) symlinkSync(join(root, "node_modules", found), join(modules, found));
  symlinkSync(root, join(modules, "sojourn"));
  cpSync(join(apps, "browser.mjs"), join(folder, "browser.mjs"));
  const app = join(folder, "app");
  cpSync(join(apps, name), app, { recursive: true });
  const manifest = { private: true, type: name === "redis-typescript" ? "module" : "commonjs" };
  writeFileSync(join(app, "package.json"), JSON.stringify(manifest));
  return app;
}

export function codemod(folder: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [cli, ...args], { cwd: folder, encoding: "utf8" });
}

export function sources(folder: string): Map<string, string> {
  const files = globSync("**/*.{js,mjs,ts}", { cwd: folder }).sort();
  return new Map(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}
