import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The repository's root folder. */
export const root: string = resolve(import.meta.dirname, "..");

export interface PackageManifest {
  name: string;
  version: string;
  main: string;
  types: string;
  exports: Record<string, string | { "sojourn-source": string; types: string; default: string }>;
  typesVersions?: Record<string, Record<string, string[]>>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

/** The `package.json` of a folder. */
export function readManifest(folder: string = root): PackageManifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** What users import: the name, the types and the module behind it, and the source it was built from. */
export interface EntryPoint {
  /** `sojourn`, `sojourn/memory`, … */
  name: string;
  source: string;
  types: string;
  module: string;
}

export function entryPoints(manifest: PackageManifest = readManifest()): EntryPoint[] {
  return Object.entries(manifest.exports).flatMap(([path, target]) =>
    typeof target === "string"
      ? []
      : [
          {
            name: manifest.name + path.slice(1),
            source: target["sojourn-source"],
            types: target.types,
            module: target.default,
          },
        ],
  );
}
