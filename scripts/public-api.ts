import { join } from "node:path";
import { entryPoints, root } from "./package.ts";
import { loadTypeScript, type SyntaxNode, type TypeSymbol } from "./typescript-api.ts";

/** What the entry points of `dist/` export, as a compiler sees them through `require`: of a drop-in that is its function, or its class. */
export interface PublicEntry {
  /** `sojourn`, `sojourn/memory`, … */
  name: string;
  /** The file with its types. */
  file: string;
  exports: Map<string, PublicExport>;
}

export interface PublicExport {
  symbol: TypeSymbol;
  /** The statements that declare it. */
  statements: SyntaxNode[];
}

const dist = join(root, "dist/");
export const ts = loadTypeScript();

const files = entryPoints().map(({ name, targets }) => {
  const file = targets.find((target) => /\.d\.c?ts$/.test(target));
  if (file === undefined) throw new Error(`${name} has no types`);
  return { name, file: join(root, file) };
});
const program = ts.createProgram(
  files.map(({ file }) => file),
  { module: ts.ModuleKind.NodeNext, strict: true, types: ["node"] },
);
export const checker = program.getTypeChecker();

export const fileOf = (node: SyntaxNode) => node.getSourceFile().fileName;
export const isOurs = (node: SyntaxNode) => fileOf(node).startsWith(dist);

/** What a name stands for, wherever it was passed on. */
export function original(symbol: TypeSymbol): TypeSymbol {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

/** The statement that declares something at the top of a file; `undefined` for a member or a parameter. */
export function statementOf(declaration: SyntaxNode): SyntaxNode | undefined {
  for (let node = declaration; node.parent !== undefined; node = node.parent) {
    if (ts.isSourceFile(node.parent)) return node;
    if (!ts.isVariableDeclaration(node) && !ts.isVariableDeclarationList(node)) return undefined;
  }
  return undefined;
}

/** The statements of a file of the package, and of those that it imports. */
export function statementsFrom(file: string, seen = new Set<string>()): SyntaxNode[] {
  const source = program.getSourceFile(file);
  if (source === undefined || seen.has(file) || !file.startsWith(dist)) return [];
  seen.add(file);
  return source.statements.flatMap((statement) => {
    const { moduleSpecifier } = statement;
    const [target] = (moduleSpecifier && checker.getSymbolAtLocation(moduleSpecifier)?.declarations) ?? [];
    return target === undefined ? [statement] : statementsFrom(fileOf(target), seen);
  });
}

export function publicEntries(): PublicEntry[] {
  return files.map(({ name, file }) => {
    const module = program.getSourceFile(file);
    const symbol = module && checker.getSymbolAtLocation(module);
    if (symbol === undefined) throw new Error(`${file} is no module: run npm run build`);
    const whole = checker.resolveExternalModuleSymbol(symbol);
    const all = checker.getExportsOfModule(symbol).map((one) => [one.name, original(one)] as const);
    if (whole !== symbol) all.push(["export =", whole]);
    const exports = new Map<string, PublicExport>();
    for (const [key, one] of all.sort(([a], [b]) => (a < b ? -1 : 1))) {
      const statements = [...new Set(one.declarations?.map((declaration) => statementOf(declaration) ?? declaration))];
      if (statements.length > 0) exports.set(key, { symbol: one, statements });
    }
    return { name, file, exports };
  });
}
