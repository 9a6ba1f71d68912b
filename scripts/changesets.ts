import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { tools } from "./cached-tools.ts";
import { root } from "./package.ts";

/** `npm run changeset` asks what users notice of a change; `npm run release:version` gathers it. Changesets is one of `scripts/tools`. */
const bin = join(tools(join(root, "scripts/tools")), "node_modules/@changesets/cli/bin.js");
const { status } = spawnSync(process.execPath, [bin, ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
process.exitCode = status ?? 1;
