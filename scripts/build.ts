import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse } from "@babel/parser";
import { importsOf } from "./architecture/source.ts";
import { entryPoints, root } from "./package.ts";

/**
 * Builds `dist/` with the TypeScript compiler alone, then checks that what came out stands on its own: every relative
 * import leads to a file that is there, none leads out of `dist/`, and every entry point exists with its types.
 */
const dist = join(root, "dist");
rmSync(dist, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});

const problems: string[] = [];
const outputs = globSync("**/*", { cwd: dist, withFileTypes: true }).filter((entry) => entry.isFile());

for (const entry of outputs) {
  const file = join(entry.parentPath, entry.name);
  const declarations = file.endsWith(".d.ts");
  if (!declarations && !file.endsWith(".js")) {
    problems.push(`${file} is neither a module nor its types`);
    continue;
  }
  const program = parse(readFileSync(file, "utf8"), {
    sourceType: "module",
    plugins: declarations ? [["typescript", { dts: true }]] : [],
  });
  for (const { specifier } of importsOf(program)) {
    if (!specifier.startsWith(".")) continue;
    // A declaration file names the `.ts` file that it was made from; the compiler finds the `.d.ts` beside it.
    const target = resolve(dirname(file), declarations ? specifier.replace(/\.[jt]s$/, ".d.ts") : specifier);
    if (!target.startsWith(dist) || !existsSync(target))
      problems.push(`${file} imports ${specifier}, which isn't there`);
  }
}

for (const { name, types, module } of entryPoints())
  for (const target of [types, module])
    if (!existsSync(join(root, target))) problems.push(`${name} should be at ${target}, which isn't there`);

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`Built ${outputs.length} files into dist/`);
