import { createRequire } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tools } from "./cached-tools.ts";
import { entryPoints, root } from "./package.ts";

/** What an entry point of `dist/` weighs as a bundle, minified and compressed, by esbuild; of `sojourn` with all that openStore can open. */
const LIMITS_KB: Record<string, number> = {
  sojourn: 105,
  "sojourn/memory": 11,
  "sojourn/sqlite": 12,
  "sojourn/file": 11,
  "sojourn/redis": 16,
  "sojourn/postgres": 13,
  "sojourn/mysql": 13,
  "sojourn/sealed": 1,
  "sojourn/csrf": 64,
};

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
