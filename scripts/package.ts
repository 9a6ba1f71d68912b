import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** The repository's root folder. */
export const root: string = resolve(import.meta.dirname, "..");

/** One entry of `exports`: conditions, which may have conditions of their own. */
export interface ExportConditions {
  [condition: string]: string | ExportConditions;
}

export interface PackageManifest {
  name: string;
  version: string;
  main: string;
  types: string;
  exports: Record<string, string | ExportConditions>;
  typesVersions?: Record<string, Record<string, string[]>>;
  /** The development dependencies that may run a script when they are installed. */
  allowScripts?: Record<string, boolean>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

/** The `package.json` of a folder. */
export function readManifest(folder: string = root): PackageManifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** The folders of all packages that npm gets, from the root: the one that the others need comes first. */
export function published(): string[] {
  return [".", ...globSync("packages/*/package.json", { cwd: root }).map(dirname).sort()];
}

/** What users import. */
export interface EntryPoint {
  /** `sojourn`, `sojourn/memory`, … */
  name: string;
  /** The file of `src/` that it is built from. */
  source: string;
  /** The built module, without an extension. */
  built: string;
  /** Every built file that `exports` leads to: modules and types. */
  targets: string[];
}

export function entryPoints(manifest: PackageManifest = readManifest()): EntryPoint[] {
  return Object.entries(manifest.exports).flatMap(([path, conditions]) => {
    if (typeof conditions === "string") return [];
    const { "sojourn-source": source, ...rest } = conditions;
    if (typeof source !== "string") throw new Error(`exports["${path}"] has no sojourn-source`);
    const built = source.replace("./src/", "./dist/").replace(/\.ts$/, "");
    return [{ name: manifest.name + path.slice(1), source, built, targets: targetsOf(rest) }];
  });
}

function targetsOf(conditions: ExportConditions): string[] {
  return Object.values(conditions).flatMap((target) => (typeof target === "string" ? [target] : targetsOf(target)));
}
