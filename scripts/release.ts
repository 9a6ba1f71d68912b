import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { published, readManifest, root } from "./package.ts";

/**
 * `npm run release:publish`: publishes each package whose version npm does not have yet, then tags. Refuses while a package does not say
 * where it comes from.
 */
execFileSync(process.execPath, [join(root, "scripts/releasable.ts")], { stdio: "inherit" });

for (const folder of published()) {
  const { name, version } = readManifest(join(root, folder));
  const { status, stdout, stderr } = spawnSync("npm", ["view", `${name}@${version}`, "version"], { encoding: "utf8" });
  if (status !== 0 && !stderr.includes("E404")) throw new Error(`npm can't say whether it has ${name}: ${stderr}`);
  if (stdout.trim() === version) {
    console.log(`${name}@${version} is published.`);
    continue;
  }
  execFileSync("npm", ["publish", "--access", "public"], { cwd: join(root, folder), stdio: "inherit" });
  // The line that changesets/action looks for: it makes a release of it.
  console.log(`New tag: ${name}@${version}`);
}

const tag = `v${readManifest().version}`;
const known = execFileSync("git", ["tag", "--list", tag], { cwd: root, encoding: "utf8" }).trim();
if (known === "") execFileSync("git", ["tag", tag], { cwd: root, stdio: "inherit" });
