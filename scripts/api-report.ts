import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./package.ts";
import {
  checker,
  isOurs,
  original,
  type PublicEntry,
  publicEntries,
  statementOf,
  statementsFrom,
  ts,
} from "./public-api.ts";
import type { SyntaxNode, TypeSymbol } from "./typescript-api.ts";

/**
 * `node scripts/api-report.ts [--update]` compares what each entry point of `dist/` declares with the report in `etc/api/`, so that no public type
 * changes unseen. It also fails if an entry point uses a type that it does not export, or exports something without documentation.
 */
const folder = join(root, "etc/api");
const printer = ts.createPrinter({ removeComments: true });
const problems = new Set<string>();

/** The class that both stores extend has no member of its own that users need. Its type parameters would draw in the drivers' inside. */
const ALLOWED = [
  "sojourn/mysql: MysqlStore uses SqlStore, which sojourn/mysql does not export",
  "sojourn/postgres: PostgresStore uses SqlStore, which sojourn/postgres does not export",
];

function print(node: SyntaxNode): string {
  const text = printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile());
  return text.replaceAll(/^ *#private;\n/gm, "");
}

/** What our declarations use of our other declarations. */
function usedBy(node: SyntaxNode, found = new Set<TypeSymbol>()): Set<TypeSymbol> {
  ts.forEachChild(node, (child) => void usedBy(child, found));
  const symbol = ts.isIdentifier(node) ? checker.getSymbolAtLocation(node) : undefined;
  if (symbol === undefined) return found;
  const used = original(symbol);
  if (used.declarations?.some((declaration) => isOurs(declaration) && statementOf(declaration))) found.add(used);
  return found;
}

/** By entry point. The classes of `sojourn/express-session/…` may use what `sojourn/express-session` exports, which stands before them. */
const exported = new Map<string, Set<TypeSymbol>>();

function report({ name, file, exports }: PublicEntry): string {
  const above = exported.get(name.split("/").slice(0, 2).join("/")) ?? [];
  const own = new Set([...above, ...[...exports.values()].map(({ symbol }) => symbol)]);
  exported.set(name, own);
  const parts = [...exports].map(([key, { statements }]) => {
    if (!statements.some(({ jsDoc }) => jsDoc !== undefined)) problems.add(`${name}: ${key} has no documentation`);
    for (const used of statements.flatMap((statement) => [...usedBy(statement)])) {
      // By name too: `SessionData` of the drop-in is an interface in its namespace, which extends that of the module.
      if (!own.has(used) && !exports.has(used.name))
        problems.add(`${name}: ${key} uses ${used.name}, which ${name} does not export`);
    }
    return `// ${key}\n${statements.map(print).join("\n")}`;
  });
  const globals = statementsFrom(file).filter(ts.isGlobalScopeAugmentation).map(print).sort();
  return `${[`// What ${name} declares. npm run api writes this file.`, ...parts, ...globals].join("\n\n")}\n`;
}

const reports = new Map<string, string>();
for (const entry of publicEntries()) reports.set(`${entry.name.replaceAll("/", ".")}.d.ts`, report(entry));
if (process.argv.includes("--update")) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of reports) writeFileSync(join(folder, name), text);
}
const written = existsSync(folder) ? globSync("*", { cwd: folder }) : [];
for (const name of new Set([...written, ...reports.keys()])) {
  const text = written.includes(name) ? readFileSync(join(folder, name), "utf8") : undefined;
  if (text !== reports.get(name)) problems.add(`etc/api/${name} is out of date: run npm run api, and commit it`);
}

for (const known of ALLOWED) problems.delete(known);
if (problems.size > 0) {
  console.error([...problems].join("\n"));
  process.exitCode = 1;
} else console.log(`etc/api says what the ${reports.size} entry points declare.`);
