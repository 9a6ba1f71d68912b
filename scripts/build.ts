import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { bundle } from "./bundle.ts";
import { entryPoints, root } from "./package.ts";

/**
 * Builds `dist/`. The TypeScript compiler writes declarations, and modules that Rollup joins into a few files of CommonJS, which every Node,
 * test runner, compiler and bundler can load. `import` and `require` share this one copy of the code. Each entry point gets a face:
 *
 * - `.mjs` and `.d.mts`: the same exports by name, for `import`;
 * - `.cjs` and `.d.cts`, where the source has a default export, as a drop-in has: `require()` returns that itself.
 *
 * `npm run check` then checks that what came out stands on its own.
 */
const dist = join(root, "dist");
const modules = join(dist, "modules");
const require = createRequire(import.meta.url);
rmSync(dist, { recursive: true, force: true });
compile("--emitDeclarationOnly");
// Without comments: the declarations have them.
compile("--outDir", modules, "--declaration", "false", "--removeComments");
await bundle(modules, dist);
rmSync(modules, { recursive: true });
writeFileSync(join(dist, "package.json"), '{ "type": "commonjs" }\n');

function compile(...options: string[]): void {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", ...options], { cwd: root, stdio: "inherit" });
}

// They name the `.ts` files that they were made from, which older compilers don't look for.
for (const name of globSync("**/*.d.ts", { cwd: dist })) {
  const file = join(dist, name);
  const text = readFileSync(file, "utf8");
  const imports = text.replaceAll(/((?:from |import |import\()"\.[^"]+)\.ts"/g, '$1.js"');
  // A name that older compilers can't read, and that only the source needs.
  writeFileSync(file, imports.replaceAll(/\s*\w+ as "module\.exports",?/g, ""));
}
for (const { built } of entryPoints()) writeFace(join(root, built));

function writeFace(path: string): void {
  const inner = `./${basename(path)}.js`;
  const exported: Record<string, unknown> = require(`${path}.js`);
  const names = Object.keys(exported);
  if (!names.includes("default")) {
    writeFileSync(`${path}.mjs`, `export { ${names.join(", ")} } from "${inner}";\n`);
    writeFileSync(`${path}.d.mts`, `export * from "${inner}";\n`);
    return;
  }
  // Each property by a line of its own: Node and bundlers read the names of exports without running the code.
  const properties = names.filter((name) => exported[name] !== exported.default);
  const lines = [
    '"use strict";',
    `const inner = require("${inner}");`,
    "module.exports = inner.default;",
    ...properties.map((name) => `module.exports.${name} = inner.${name};`),
  ];
  writeFileSync(`${path}.cjs`, `${lines.join("\n")}\n`);
  writeFileSync(`${path}.d.cts`, `import { default as face } from "${inner}";\nexport = face;\n`);
}

// Declarations that no entry point leads to are of no use to anyone.
const reached = new Set<string>();
for (const { targets } of entryPoints()) for (const target of targets) reach(join(root, target));
for (const name of globSync("**/*.d.ts", { cwd: dist })) if (!reached.has(join(dist, name))) rmSync(join(dist, name));

function reach(file: string): void {
  if (!/\.d\.[cm]?ts$/.test(file) || reached.has(file) || !existsSync(file)) return;
  reached.add(file);
  const text = readFileSync(file, "utf8");
  for (const [, path = ""] of text.matchAll(/(?:from |import |import\(|path=)"(\.[^"]+)"/g)) {
    reach(join(dirname(file), path.replace(/\.(?:js|cjs|mjs)$/, ".d.ts")));
  }
}

const missing = entryPoints().flatMap(({ name, targets }) =>
  targets
    .filter((target) => !existsSync(join(root, target)))
    .map((target) => `${name} should be at ${target}, which isn't there`),
);
if (missing.length > 0) {
  console.error(missing.join("\n"));
  process.exit(1);
}
console.log(`Built ${globSync("**/*.{js,mjs,cjs,ts,mts,cts}", { cwd: dist }).length} files into dist/`);
