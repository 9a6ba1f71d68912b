import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tools } from "./cached-tools.ts";
import { readManifest, root } from "./package.ts";

/**
 * `npm run check [-- <step>…]`: everything that can be said of the code and of the package without a test or a server. Most of the tools have
 * a manifest of their own, `scripts/tools/`, which the first run installs.
 */
const { name, version } = readManifest();
const folder = mkdtempSync(join(tmpdir(), "sojourn-check-"));
const tarball = join(folder, `${name}-${version}.tgz`);

/** How a file of a package is run: of this repository's, or of the tools'. */
const own = (file: string) => [process.execPath, join(root, "node_modules", file)];
const tool = (file: string) => [process.execPath, join(tools(join(root, "scripts/tools")), "node_modules", file)];
const script = (file: string) => [process.execPath, join(root, "scripts", file)];

const steps: Record<string, () => string[][]> = {
  lint: () => [[...own("@biomejs/biome/bin/biome"), "ci", "."]],
  types: () => [
    [...own("typescript/bin/tsc"), "--noEmit"],
    [...own("typescript/bin/tsc"), "--noEmit", "-p", "tsconfig.build.json"],
  ],
  imports: () => [[...tool("dependency-cruiser/bin/dependency-cruise.mjs"), "--output-type", "err-long", "src"]],
  unused: () => [tool("knip/bin/knip.js")],
  workflows: () => [script("check-workflows.ts")],
  locks: () => [script("check-lockfile.ts")],
  markdown: () => [tool("markdownlint-cli2/markdownlint-cli2-bin.mjs")],
  spelling: () => [[...tool("cspell/bin.mjs"), "--no-progress", "--dot"]],
  build: () => [script("build.ts")],
  api: () => [script("api-report.ts")],
  size: () => [script("size.ts")],
  package: () => [
    [...tool("dependency-cruiser/bin/dependency-cruise.mjs"), "--output-type", "err-long", "dist"],
    ["npm", "pack", "--ignore-scripts", "--silent", "--pack-destination", folder],
    [...tool("publint/src/cli.js"), tarball, "--strict"],
    [...tool("@arethetypeswrong/cli/dist/index.js"), tarball, "--format", "table-flipped", "--no-emoji"],
  ],
};

const wanted = process.argv.slice(2);
for (const step of wanted) if (!(step in steps)) throw new Error(`no step ${step}: ${Object.keys(steps).join(", ")}`);

const seconds: Record<string, string> = {};
const failed: string[] = [];
try {
  for (const [step, commands] of Object.entries(steps)) {
    if (wanted.length > 0 && !wanted.includes(step)) continue;
    console.log(`\n--- ${step}`);
    const startedAt = performance.now();
    for (const [command = "", ...args] of commands()) {
      const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
      if (status === 0) continue;
      failed.push(step);
      break;
    }
    seconds[step] = ((performance.now() - startedAt) / 1_000).toFixed(1);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const times = Object.entries(seconds).map(([step, time]) => `${step} ${time}`);
console.log(`\nSeconds: ${times.join(", ")}`);
if (failed.length > 0) {
  console.error(`FAIL: ${failed.join(", ")}`);
  process.exitCode = 1;
} else console.log("PASS");
