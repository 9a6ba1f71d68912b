// node bundle.mjs <folder of the tools> <bundler> <format> <entry> <where to> [<packages to leave out>]: one bundle.
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, bundler, format, entry, output, left = ""] = process.argv.slice(2);
const external = left === "" ? [] : left.split(",");
const require = createRequire(join(tools, "package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));

const bundlers = {
  async esbuild() {
    const { build } = require("esbuild");
    await build({
      entryPoints: [entry],
      bundle: true,
      platform: "node",
      format,
      outfile: output,
      external,
      logLevel: "error",
    });
  },
  async webpack() {
    const webpack = require("webpack");
    const isModule = format === "esm";
    const stats = await new Promise((done, fail) =>
      webpack(
        {
          mode: "none",
          target: "node20",
          entry: resolve(entry),
          experiments: { outputModule: isModule },
          output: {
            path: dirname(resolve(output)),
            filename: basename(output),
            ...(isModule && { module: true, chunkFormat: "module" }),
          },
        },
        (error, result) => (error ? fail(error) : done(result)),
      ),
    );
    if (stats.hasErrors()) throw new Error(stats.toString("errors-only"));
  },
  async rollup() {
    const { rollup } = await load("rollup");
    const { default: commonjs } = await load("@rollup/plugin-commonjs");
    const { default: json } = await load("@rollup/plugin-json");
    const { nodeResolve } = await load("@rollup/plugin-node-resolve");
    const bundle = await rollup({
      input: entry,
      plugins: [nodeResolve({ preferBuiltins: true, exportConditions: ["node"] }), commonjs(), json()],
    });
    await bundle.write({ file: output, format: format === "esm" ? "es" : "cjs", inlineDynamicImports: true });
  },
  async vite() {
    const { build } = await load("vite");
    await build({
      configFile: false,
      logLevel: "error",
      ssr: { noExternal: true, external },
      build: {
        ssr: resolve(entry),
        outDir: dirname(resolve(output)),
        emptyOutDir: false,
        target: "node20",
        rollupOptions: { output: { entryFileNames: basename(output), format: format === "esm" ? "es" : "cjs" } },
      },
    });
  },
  async ncc() {
    const { writeFileSync } = await import("node:fs");
    const { code, assets } = await require("@vercel/ncc")(resolve(entry), { cache: false, quiet: true });
    writeFileSync(output, code);
    for (const [name, { source }] of Object.entries(assets)) writeFileSync(join(dirname(output), name), source);
  },
};
await bundlers[bundler]();
