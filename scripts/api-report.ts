import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { entryPoints, root } from "./package.ts";
import { loadTypeScript, type SyntaxNode, type TypeSymbol } from "./typescript-api.ts";

/**
 * `node scripts/api-report.ts [--update]` compares what each entry point of `dist/` declares with the report in `etc/api/`, so that no public type
 * changes unseen. It also fails if an entry point uses a type that it does not export, or exports something without documentation.
 */
const folder = join(root, "etc/api");
const dist = join(root, "dist/");
const ts = loadTypeScript();
// What `require` finds of an entry point: of a drop-in that is its function, or its class.
const files = entryPoints().map(({ name, targets }) => {
  const file = targets.find((target) => /\.d\.c?ts$/.test(target));
  if (file === undefined) throw new Error(`${name} has no types`);
  return { name, file: join(root, file) };
});
const program = ts.createProgram(
  files.map(({ file }) => file),
  { module: ts.ModuleKind.NodeNext, strict: true, types: ["node"] },
);
const checker = program.getTypeChecker();
const printer = ts.createPrinter({ removeComments: true });
const problems: string[] = [];

const original = (symbol: TypeSymbol) =>
  (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
const fileOf = (node: SyntaxNode) => node.getSourceFile().fileName;
const isOurs = (node: SyntaxNode) => fileOf(node).startsWith(dist);
const byName = (one: string, other: string) => (one < other ? -1 : 1);

/** The statement that declares something at the top of a file; `undefined` for a member or a parameter. */
function statementOf(declaration: SyntaxNode): SyntaxNode | undefined {
  for (let node = declaration; node.parent !== undefined; node = node.parent) {
    if (ts.isSourceFile(node.parent)) return node;
    if (!ts.isVariableDeclaration(node) && !ts.isVariableDeclarationList(node)) return undefined;
  }
  return undefined;
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

/** The files of the package that a file imports, itself included, with what they add to the global scope. */
function globalsOf(file: string, seen = new Set<string>()): SyntaxNode[] {
  const source = program.getSourceFile(file);
  if (source === undefined || seen.has(file) || !file.startsWith(dist)) return [];
  seen.add(file);
  return source.statements.flatMap((statement) => {
    if (ts.isGlobalScopeAugmentation(statement)) return [statement];
    const [target] =
      (statement.moduleSpecifier && checker.getSymbolAtLocation(statement.moduleSpecifier)?.declarations) ?? [];
    return target === undefined ? [] : globalsOf(fileOf(target), seen);
  });
}

function print(node: SyntaxNode): string {
  const text = printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile());
  return text.replaceAll(/^ *#private;\n/gm, "");
}

/** By entry point, in the order of `package.json`. The classes of `sojourn/express-session/…` may use what `sojourn/express-session` exports. */
const exportedAbove = new Map<string, Set<TypeSymbol>>();

function report(name: string, file: string): string {
  const module = program.getSourceFile(file);
  const symbol = module && checker.getSymbolAtLocation(module);
  if (symbol === undefined) throw new Error(`${file} is no module: run npm run build`);
  const all = checker.getExportsOfModule(symbol).map((one) => [one.name, original(one)] as const);
  const whole = checker.resolveExternalModuleSymbol(symbol);
  const names = new Map(whole === symbol ? all : [...all, ["export =", whole]]);
  const exported = new Set([...names.values(), ...(exportedAbove.get(name.replace(/(?<=\/[^/]+)\/.*/, "")) ?? [])]);
  exportedAbove.set(name, exported);
  const parts = [...names.keys()].sort(byName).map((key) => {
    const declarations = names.get(key)?.declarations ?? [];
    if (declarations.length === 0) return "";
    const statements = [...new Set(declarations.map((one) => statementOf(one) ?? one))];
    if (!statements.some(({ jsDoc }) => jsDoc !== undefined)) problems.push(`${name}: ${key} has no documentation`);
    // By name too: `SessionData` of the drop-in is an interface in its namespace, which extends that of the module.
    for (const used of statements.flatMap((statement) => [...usedBy(statement)]))
      if (!exported.has(used) && !names.has(used.name))
        problems.push(`${name}: ${key} uses ${used.name}, which ${name} does not export`);
    return `// ${key}\n${statements.map(print).join("\n")}`;
  });
  const globals = globalsOf(file).map(print).sort(byName);
  return `${[`// What ${name} declares. Written by npm run api.`, ...parts.filter((part) => part !== ""), ...globals].join("\n\n")}\n`;
}

const reports = new Map<string, string>();
for (const { name, file } of files) reports.set(`${name.replaceAll("/", ".")}.d.ts`, report(name, file));
if (process.argv.includes("--update")) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of reports) writeFileSync(join(folder, name), text);
}
const written = existsSync(folder) ? globSync("*", { cwd: folder }) : [];
for (const name of new Set([...written, ...reports.keys()])) {
  const text = written.includes(name) ? readFileSync(join(folder, name), "utf8") : undefined;
  if (text !== reports.get(name)) problems.push(`etc/api/${name} is out of date: run npm run api, and commit it`);
}

if (problems.length > 0) {
  console.error([...new Set(problems)].join("\n"));
  process.exitCode = 1;
} else console.log(`etc/api says what the ${reports.size} entry points declare.`);
