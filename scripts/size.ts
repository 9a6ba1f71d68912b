import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { entryPoints, root } from "./package.ts";

/** What an entry point of `dist/` weighs as a bundle, minified and compressed, by esbuild; of `sojourn` with all that openStore can open. */
const LIMITS_KB: Record<string, number> = {
  sojourn: 105,
  "sojourn/memory": 7,
  "sojourn/sqlite": 12,
  "sojourn/file": 11,
  "sojourn/redis": 16,
  "sojourn/postgres": 13,
  "sojourn/mysql": 13,
  "sojourn/sealed": 1,
  "sojourn/csrf": 107, // with the core, which an application has loaded
};
/** What the package takes in an application's `node_modules`. */
const PACKAGE_LIMIT_KB = 700;

for (const { name, built } of entryPoints()) {
  const limit = LIMITS_KB[name];
  if (limit === undefined) continue;
  const { outputFiles, metafile } = buildSync({
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
