import { readFileSync } from "node:fs";
import { join } from "node:path";
import { published, root } from "./package.ts";

/**
 * `npm run releasable`: refuses to release what npm could not show the origin of. The repository does not know its own address; whoever
 * publishes it fills that in. See RELEASING.md.
 */
interface Addresses {
  name: string;
  private?: boolean;
  repository?: string | { url?: string; directory?: string };
  homepage?: string;
  bugs?: string | { url?: string };
}

const addressOf = (value: string | { url?: string } | undefined) => (typeof value === "string" ? value : value?.url);

/** What a manifest still needs. Provenance compares `repository` with the repository that a release is built in. */
export function missing(manifest: Addresses, folder: string): string[] {
  const wanted: [string, string | undefined][] = [["repository", addressOf(manifest.repository)]];
  if (folder === ".") wanted.push(["homepage", manifest.homepage], ["bugs", addressOf(manifest.bugs)]);
  const problems = wanted
    .filter(([, address]) => address === undefined || !/^(?:git\+)?https:\/\/[\w.-]+\/.+/.test(address))
    .map(([field]) => `${join(folder, "package.json")}: ${field} is no https address`);
  if (manifest.private === true) problems.push(`${join(folder, "package.json")}: the package is private`);
  return problems;
}

if (import.meta.main) {
  const problems = published().flatMap((folder) =>
    missing(JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")), folder),
  );
  if (problems.length > 0) {
    console.error(`Not to be released yet. RELEASING.md says how to fill in:\n${problems.join("\n")}`);
    process.exitCode = 1;
  } else console.log("Every package says where it comes from.");
}
