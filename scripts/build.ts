import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parse } from "@babel/parser";
import { importsOf } from "./architecture/source.ts";
import { type CommonJsModule, toCommonJs } from "./commonjs.ts";
import { entryPoints, root } from "./package.ts";

/**
 * Builds `dist/`. The TypeScript compiler writes modules and declarations; the modules are then turned into CommonJS, which every Node, test
 * runner, compiler and bundler can load. `import` and `require` share this one copy of the code. Each entry point gets a face:
 *
 * - `.mjs` and `.d.mts`: the same exports by name, for `import`;
 * - `.cjs` and `.d.cts`, where the source has a default export, as a drop-in has: `require()` returns that itself.
 *
 * At the end it checks that what came out stands on its own: every relative import leads to a file that is there, none leads out of `dist/`,
 * and every entry point exists with its types.
 */
const dist = join(root, "dist");
rmSync(dist, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
writeFileSync(join(dist, "package.json"), '{ "type": "commonjs" }\n');

const modules = new Map<string, CommonJsModule>();
for (const name of globSync("**/*.js", { cwd: dist })) {
  const file = join(dist, name);
  const module = toCommonJs(readFileSync(file, "utf8"));
  modules.set(file, module);
  writeFileSync(file, module.code);
}
// They name the `.ts` files that they were made from, which older compilers don't look for.
for (const name of globSync("**/*.d.ts", { cwd: dist })) {
  const file = join(dist, name);
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replaceAll(/((?:from |import |import\()"\.[^"]+)\.ts"/g, '$1.js"'));
}
for (const { name, built } of entryPoints()) {
  const file = join(root, `${built}.js`);
  const module = modules.get(file);
  if (module === undefined) throw new Error(`${name} should be at ${file}, which isn't there`);
  writeFace(join(root, built), module);
}

function writeFace(path: string, { names, defaultName }: CommonJsModule): void {
  const inner = `./${basename(path)}.js`;
  if (defaultName === undefined) {
    writeFileSync(`${path}.mjs`, `export { ${names.join(", ")} } from "${inner}";\n`);
    writeFileSync(`${path}.d.mts`, `export * from "${inner}";\n`);
    return;
  }
  // Each property by a line of its own: Node and bundlers read the names of exports without running the code.
  const properties = names.filter((name) => name !== "default" && name !== defaultName);
  const lines = [
    '"use strict";',
    `const inner = require("${inner}");`,
    `module.exports = inner.${defaultName};`,
    ...properties.map((name) => `module.exports.${name} = inner.${name};`),
  ];
  writeFileSync(`${path}.cjs`, `${lines.join("\n")}\n`);
  writeFileSync(`${path}.d.cts`, `import { ${defaultName} } from "${inner}";\nexport = ${defaultName};\n`);
}

const problems: string[] = [];
const outputs = globSync("**/*", { cwd: dist, withFileTypes: true }).filter((entry) => entry.isFile());

for (const entry of outputs) {
  const file = join(entry.parentPath, entry.name);
  if (file === join(dist, "package.json")) continue;
  const declarations = /\.d\.[cm]?ts$/.test(file);
  if (!declarations && !/\.[cm]?js$/.test(file)) {
    problems.push(`${file} is neither a module nor its types`);
    continue;
  }
  const program = parse(readFileSync(file, "utf8"), {
    sourceType: "module",
    plugins: declarations ? [["typescript", { dts: true }]] : [],
  });
  for (const { specifier } of importsOf(program)) {
    if (!specifier.startsWith(".")) continue;
    const target = resolve(dirname(file), declarations ? specifier.replace(/\.js$/, ".d.ts") : specifier);
    if (!target.startsWith(dist) || !existsSync(target))
      problems.push(`${file} imports ${specifier}, which isn't there`);
  }
}

for (const { name, targets } of entryPoints())
  for (const target of targets)
    if (!existsSync(join(root, target))) problems.push(`${name} should be at ${target}, which isn't there`);

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`Built ${outputs.length} files into dist/`);
