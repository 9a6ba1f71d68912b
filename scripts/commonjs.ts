import { parse } from "@babel/parser";
import { type Node, type Statement, traverseFast } from "@babel/types";

/** A module of the build, as CommonJS. */
export interface CommonJsModule {
  code: string;
  /** The names it exports, `default` among them. */
  names: string[];
  /** The local name of what it exports as `default`. */
  defaultName: string | undefined;
}

/**
 * Turns an ES module that the TypeScript compiler wrote into CommonJS. It understands what the sources use and throws for anything else.
 *
 * Exports are plain properties of `exports`, so that tests can replace them, and so that Node and bundlers see their names without running
 * the code. Comments are dropped: the declaration files have them.
 *
 * @throws Error that names what it does not understand
 */
export function toCommonJs(source: string): CommonJsModule {
  const { program, comments } = parse(source, { sourceType: "module" });
  const edits: Edit[] = [];
  const exports = new Map<string, string>();
  const replace = (node: Node, text: string) => edits.push({ ...rangeOf(node), text });
  const unwrap = (call: Extract<Node, { type: "CallExpression" }>) => {
    const { start, end } = rangeOf(call);
    edits.push({ start, end: rangeOf(call.callee).end + 1, text: "" }, { start: end - 1, end, text: "" });
  };

  for (const statement of program.body) {
    switch (statement.type) {
      case "VariableDeclaration":
        if (statement.kind === "var" && source.startsWith(`var ${HELPER}`)) replace(statement, "");
        break;
      case "ImportDeclaration":
        replace(statement, importText(statement));
        break;
      case "ExportNamedDeclaration": {
        const { declaration, specifiers, source } = statement;
        if (declaration) {
          edits.push({ start: rangeOf(statement).start, end: rangeOf(declaration).start, text: "" });
          for (const name of declaredNames(declaration)) exports.set(name, name);
          break;
        }
        const origin = source ? `${loadText(source.value)}.` : "";
        for (const specifier of specifiers) {
          if (specifier.type !== "ExportSpecifier") throw unknown(specifier);
          exports.set(nameOf(specifier.exported), origin + nameOf(specifier.local));
        }
        replace(statement, "");
        break;
      }
      case "ExportDefaultDeclaration":
        if (statement.declaration.type !== "Identifier") throw unknown(statement);
        exports.set("default", statement.declaration.name);
        replace(statement, "");
        break;
      case "ExportAllDeclaration":
        throw unknown(statement);
    }
  }
  traverseFast(program, (node) => {
    if (node.type === "MetaProperty" && node.meta.name === "import") throw unknown(node);
    if (node.type !== "CallExpression" || node.callee.type !== "Import") return;
    const [specifier] = node.arguments;
    if (specifier?.type === "StringLiteral") replace(node, lazyText(specifier.value));
    // A name that is computed stays a real `import()`, of a package: the compiler's helper for relative ones goes.
    else if (specifier?.type === "CallExpression") unwrap(specifier);
  });
  for (const comment of comments ?? []) {
    if (!BUNDLER.test(comment.value)) edits.push({ ...wholeLines(source, rangeOf(comment)), text: "" });
  }

  const assignments = [...exports].map(([exported, local]) => `exports.${exported} = ${local};`);
  return {
    code: [HEAD, edited(source, edits).trim(), ...assignments, ""].join("\n"),
    names: [...exports.keys()],
    defaultName: exports.get("default"),
  };
}

/** Comments that tell a bundler to leave an `import()` alone. */
const BUNDLER = /webpackIgnore|@vite-ignore/;

/** What the compiler puts around the argument of `import()` where it is computed. */
const HELPER = "__rewriteRelativeImportExtension";

const HEAD = '"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });';

interface Edit {
  start: number;
  end: number;
  text: string;
}

function edited(source: string, edits: readonly Edit[]): string {
  let text = "";
  let position = 0;
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    // A comment within what was replaced.
    if (edit.start < position) continue;
    text += source.slice(position, edit.start) + edit.text;
    position = edit.end;
  }
  return text + source.slice(position);
}

function importText({ specifiers, source }: Extract<Statement, { type: "ImportDeclaration" }>): string {
  if (specifiers.length === 0) return `${loadText(source.value)};`;
  const names = specifiers.map((specifier) => {
    if (specifier.type !== "ImportSpecifier") throw unknown(specifier);
    const imported = nameOf(specifier.imported);
    return imported === specifier.local.name ? imported : `${imported}: ${specifier.local.name}`;
  });
  return `const { ${names.join(", ")} } = ${loadText(source.value)};`;
}

/**
 * Node's own modules are not required, because a bundle that is an ES module has no `require`.
 */
function loadText(specifier: string): string {
  const loader = specifier.startsWith("node:") ? "process.getBuiltinModule" : "require";
  return `${loader}(${JSON.stringify(specifier)})`;
}

/**
 * What `import("…")` becomes. A package is imported within a `try`, which is how bundlers know that it may be missing. It is not
 * required, because Vite 7 makes a package that is missing throw as soon as the bundle is loaded, unless it is imported.
 */
function lazyText(specifier: string): string {
  if (specifier.startsWith(".")) return `(async () => ${loadText(specifier)})()`;
  const load = `await import(${JSON.stringify(specifier)})`;
  return `(async () => { try { return ${load}; } catch (error) { throw error; } })()`;
}

function declaredNames(declaration: Node): string[] {
  if (declaration.type === "FunctionDeclaration" || declaration.type === "ClassDeclaration") {
    if (declaration.id) return [declaration.id.name];
  }
  if (declaration.type === "VariableDeclaration" && declaration.kind === "const") {
    return declaration.declarations.map(({ id }) => {
      if (id.type !== "Identifier") throw unknown(id);
      return id.name;
    });
  }
  throw unknown(declaration);
}

function nameOf(node: Node): string {
  if (node.type === "Identifier") return node.name;
  throw unknown(node);
}

function rangeOf({ start, end }: { start?: number | null; end?: number | null }): { start: number; end: number } {
  if (typeof start !== "number" || typeof end !== "number") throw new Error("the parser did not say where it is");
  return { start, end };
}

/** A comment with the lines that it has for itself. */
function wholeLines(source: string, { start, end }: { start: number; end: number }): { start: number; end: number } {
  const before = /(?<=^|\n)[ \t]*$/.exec(source.slice(0, start));
  const after = /^[ \t]*\n/.exec(source.slice(end));
  if (before === null || after === null) return { start, end };
  return { start: start - before[0].length, end: end + after[0].length };
}

function unknown(node: Node): Error {
  return new Error(`line ${node.loc?.start.line}: the build can't turn a ${node.type} into CommonJS`);
}
