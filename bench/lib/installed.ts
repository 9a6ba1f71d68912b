import { execFileSync } from "node:child_process";
import { cpSync, existsSync, globSync, lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** What is installed: packages, as folders below one `node_modules`. */
export interface Installed {
  packages: string[];
  files: number;
  bytes: number;
}

/** A package of a `node_modules` with all that it depends on, as folders in it. */
export function closureOf(nodeModules: string, name: string): string[] {
  const found = new Set<string>();
  const add = (name: string, from: string): void => {
    const folder = findPackage(name, from, nodeModules);
    if (found.has(folder)) return;
    found.add(folder);
    const manifest: { dependencies?: Record<string, string> } = JSON.parse(
      readFileSync(join(folder, "package.json"), "utf8"),
    );
    for (const dependency of Object.keys(manifest.dependencies ?? {})) add(dependency, folder);
  };
  add(name, nodeModules);
  return [...found].map((folder) => relative(nodeModules, folder));
}

/** Copies packages into another `node_modules`, to the same places. */
export function copyPackages(packages: readonly string[], from: string, to: string): void {
  for (const name of packages) {
    const source = join(from, name);
    const own = (path: string) => relative(source, path).split(/[\\/]/)[0] !== "node_modules";
    cpSync(source, join(to, name), { recursive: true, filter: own });
  }
}

/** Builds another checkout's package, and unpacks it into an empty folder. It depends on no other. */
export function installPacked(checkout: string, folder: string): void {
  const place = join(folder, "node_modules/sojourn");
  mkdirSync(place, { recursive: true });
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: checkout, stdio: ["ignore", "ignore", "inherit"] });
  run("npm", "run", "build");
  run("npm", "pack", "--ignore-scripts", "--pack-destination", folder);
  for (const file of globSync("*.tgz", { cwd: folder }))
    run("tar", "-xzf", join(folder, file), "--strip-components=1", "-C", place);
}

/** Bytes as the files have them, not blocks of the disk. */
export function sizeOf(nodeModules: string, packages: readonly string[]): Installed {
  let [files, bytes] = [0, 0];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isFile()) {
        files++;
        bytes += lstatSync(path).size;
      } else if (entry.isDirectory() && entry.name !== "node_modules") walk(path);
    }
  };
  for (const name of packages) walk(join(nodeModules, name));
  return { packages: [...packages], files, bytes };
}

/** As Node looks for it: in the `node_modules` of this folder, else of one above it. */
function findPackage(name: string, from: string, nodeModules: string): string {
  for (let folder = from; folder.startsWith(nodeModules); folder = dirname(folder)) {
    const candidate = join(folder === nodeModules ? folder : join(folder, "node_modules"), name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
  }
  throw new Error(`${name} is not installed in ${nodeModules}`);
}
