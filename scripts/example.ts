import { globSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./package.ts";

/** `npm run example <name>`: starts one of `examples/`. */
const servers = globSync("examples/*/server.{js,ts}", { cwd: root });
const byName = new Map(servers.map((file) => [basename(dirname(file)), file]));
const [name = ""] = process.argv.slice(2);
const file = byName.get(name);
if (file === undefined) {
  console.error(`npm run example <name>, which is one of: ${[...byName.keys()].sort().join(", ")}`);
  process.exitCode = 2;
} else await import(pathToFileURL(join(root, file)).href);
