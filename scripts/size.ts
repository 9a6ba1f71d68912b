import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tools } from "./cached-tools.ts";
import { entryPoints, root } from "./package.ts";

/** What an entry point of `dist/` weighs as a bundle, minified and compressed, by esbuild; of `sojourn` with all that openStore can open. */
const LIMITS_KB: Record<string, number> = {
  sojourn: 84,
  "sojourn/memory": 6,
  "sojourn/sqlite": 11,
  "sojourn/file": 9,
  "sojourn/redis": 14,
  "sojourn/postgres": 12,
  "sojourn/mysql": 12,
  "sojourn/sealed": 1,
};
/** What the package takes in an application's `node_modules`. */
const PACKAGE_LIMIT_KB = 700;

interface Esbuild {
  buildSync(options: Record<string, unknown>): {
    outputFiles: { contents: Uint8Array }[];
    metafile: { inputs: Record<string, unknown> };
  };
}
const esbuild: Esbuild = createRequire(join(tools(join(root, "scripts/tools")), "package.json"))("esbuild");

for (const { name, built } of entryPoints()) {
  const limit = LIMITS_KB[name];
  if (limit === undefined) continue;
  const { outputFiles, metafile } = esbuild.buildSync({
    entryPoints: [join(root, `${built}.js`)],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: "node",
    packages: "external",
  });
  const [{ contents } = { contents: new Uint8Array() }] = outputFiles;
  const kb = gzipSync(contents).length / 1_000;
  const files = Object.keys(metafile.inputs).length;
  const verdict = kb > limit ? `MORE THAN ${limit} kB` : `at most ${limit} kB`;
  console.log(
    `${name.padEnd(20)} ${kb.toFixed(1).padStart(6)} kB gzip, ${String(contents.length).padStart(7)} bytes, ${String(files).padStart(3)} files: ${verdict}`,
  );
  if (kb > limit) process.exitCode = 1;
}

/** Some versions of npm print a list, some an object by name. */
const [packed]: { unpackedSize: number; entryCount: number }[] = Object.values(
  JSON.parse(
    execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }),
  ),
);
if (packed === undefined) throw new Error("npm pack told no size");
const kb = packed.unpackedSize / 1_000;
const verdict = kb > PACKAGE_LIMIT_KB ? `MORE THAN ${PACKAGE_LIMIT_KB} kB` : `at most ${PACKAGE_LIMIT_KB} kB`;
console.log(`\nThe package, unpacked: ${kb.toFixed(1)} kB, ${packed.entryCount} files: ${verdict}`);
if (kb > PACKAGE_LIMIT_KB) process.exitCode = 1;
