import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readManifest, root } from "./package.ts";

/**
 * The lock names versions and hashes, no registry: whoever installs gets the same bytes from the registry of their choice.
 * npm leaves the addresses out with `npm install --omit-lockfile-registry-resolved`.
 */
interface Lock {
  version: string;
  packages: Record<string, LockedPackage>;
}
interface LockedPackage {
  version?: string;
  integrity?: string;
  resolved?: string;
  os?: string[];
  optional?: boolean;
  optionalDependencies?: Record<string, string>;
}
const lock: Lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));

const problems: string[] = [];
if (lock.version !== readManifest().version)
  problems.push("package-lock.json is of another version than package.json: run npm install");
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === "") continue;
  if (entry.resolved !== undefined)
    problems.push(`${path} names its registry: run npm install --omit-lockfile-registry-resolved`);
  // npm can't hash what it did not download: the binaries for other systems.
  const otherSystem = entry.optional === true && entry.os?.includes(process.platform) !== true;
  if (entry.integrity === undefined && !otherSystem && !path.endsWith("-musl"))
    problems.push(`${path} has no hash to check it by`);
  // npm writes down only those that its registry had; without the others, `npm ci` refuses, or lints nothing elsewhere.
  for (const name of Object.keys(entry.optionalDependencies ?? {}))
    if (lock.packages[`node_modules/${name}`] === undefined)
      problems.push(`${path} needs ${name} on some systems, and the lock leaves it out`);
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exitCode = 1;
} else console.log(`The lock holds ${Object.keys(lock.packages).length - 1} packages and no registry.`);
