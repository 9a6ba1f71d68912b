import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readManifest, root } from "./package.ts";

/**
 * The locks name versions and hashes, no registry: whoever installs gets the same bytes from the registry of their choice.
 * npm leaves the addresses out with `npm install --omit-lockfile-registry-resolved`. What `npm ci` would warn of is refused, too.
 */
interface Lock {
  version?: string;
  packages: Record<string, LockedPackage>;
}
interface LockedPackage {
  version?: string;
  integrity?: string;
  resolved?: string;
  os?: string[];
  optional?: boolean;
  deprecated?: string;
  hasInstallScript?: boolean;
  optionalDependencies?: Record<string, string>;
}

const problems: string[] = [];
const { allowScripts = {} } = readManifest();
for (const folder of [
  ".",
  "bench",
  "scripts/tools",
  "site",
  "test/neighbours",
  "test/package/matrix",
  "test/stores/better-sqlite3",
]) {
  const place = join(folder, "package-lock.json");
  const lock: Lock = JSON.parse(readFileSync(join(root, place), "utf8"));
  if (lock.version !== readManifest(join(root, folder)).version)
    problems.push(`${place} is of another version than package.json: run npm install`);
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === "") continue;
    if (entry.resolved !== undefined)
      problems.push(`${place}: ${path} names its registry: run npm install --omit-lockfile-registry-resolved`);
    if (place === "package-lock.json") {
      if (entry.deprecated !== undefined) problems.push(`${place}: ${path} is deprecated: ${entry.deprecated}`);
      if (
        entry.hasInstallScript &&
        !(path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length) in allowScripts)
      )
        problems.push(
          `${place}: ${path} has an install script: allow or refuse it in package.json, under allowScripts`,
        );
    }
    // npm can't hash what it did not download: the binaries for other systems.
    const otherSystem = entry.optional === true && entry.os?.includes(process.platform) !== true;
    if (entry.integrity === undefined && !otherSystem && !path.endsWith("-musl"))
      problems.push(`${place}: ${path} has no hash to check it by`);
    // npm writes down only those that its registry had; without the others, `npm ci` refuses, or lints nothing elsewhere.
    for (const name of Object.keys(entry.optionalDependencies ?? {}))
      if (lock.packages[`node_modules/${name}`] === undefined)
        problems.push(`${place}: ${path} needs ${name} on some systems, and the lock leaves it out`);
  }
  console.log(`${place}: ${Object.keys(lock.packages).length - 1} packages`);
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exitCode = 1;
} else console.log("The locks name no registry.");
