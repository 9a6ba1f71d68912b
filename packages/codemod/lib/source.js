import { parse } from "@babel/parser";
import MagicString from "magic-string";

/** One file: its text, its syntax tree, the edits so far, and what its author has to look at. Formatting that no edit touches stays as it is. */
export class Source {
  edited = false;
  /** @type {{ line: number, text: string }[]} */
  notes = [];
  #parents = new Map();
  #commented = new Set();

  constructor(text, path) {
    this.text = text;
    this.path = path;
    this.typescript = /\.[cm]?tsx?$/.test(path);
    const plugins = this.typescript ? ["typescript", "decorators"] : ["jsx", "decorators"];
    if (path.endsWith(".tsx")) plugins.push("jsx");
    this.program = parse(text, {
      sourceType: "unambiguous",
      allowReturnOutsideFunction: true,
      allowAwaitOutsideFunction: true,
      plugins,
    }).program;
    this.comments = this.program.comments ?? [];
    this.edits = new MagicString(text);
    this.nodes = [];
    this.#visit(this.program, undefined);
    this.esm = this.nodes.some(({ type }) => type === "ImportDeclaration" || type.startsWith("Export"));
  }

  #visit(node, parent) {
    this.#parents.set(node, parent);
    this.nodes.push(node);
    for (const [key, value] of Object.entries(node)) {
      if (key === "loc" || key === "extra" || key.endsWith("Comments") || key === "tokens" || key === "errors")
        continue;
      for (const child of Array.isArray(value) ? value : [value])
        if (typeof child?.type === "string" && child.start !== undefined) this.#visit(child, node);
    }
  }

  parent(node) {
    return this.#parents.get(node);
  }

  /** From the node's parent up to the program. */
  *ancestors(node) {
    for (let at = this.parent(node); at !== undefined; at = this.parent(at)) yield at;
  }

  of(...types) {
    return this.nodes.filter(({ type }) => types.includes(type));
  }

  /** The text of a node, with the edits that were made in it. */
  textOf(node) {
    return this.edits.slice(node.start, node.end);
  }

  replace(node, text) {
    this.edits.update(node.start, node.end, text);
    this.edited = true;
  }

  insert(at, text) {
    this.edits.appendLeft(at, text);
    this.edited = true;
  }

  /** Removes a statement, and its line with it. */
  removeStatement(node) {
    const from = this.lineStart(node.start);
    const end = this.text.indexOf("\n", node.end);
    const alone =
      this.text.slice(from, node.start).trim() === "" &&
      this.text.slice(node.end, end < 0 ? undefined : end).trim() === "";
    if (alone) this.edits.remove(from, end < 0 ? this.text.length : end + 1);
    else this.edits.remove(node.start, node.end);
    this.edited = true;
  }

  lineStart(at) {
    return this.text.lastIndexOf("\n", at - 1) + 1;
  }

  lineOf(at) {
    return this.text.slice(0, at).split("\n").length;
  }

  /** What the author has to decide: a comment above the statement, and a line of the summary. */
  note(node, text) {
    let statement = node;
    const startsLine = (at) => this.text.slice(this.lineStart(at), at).trim() === "";
    for (const above of this.ancestors(node)) {
      if (
        /Statement$|Declaration$/.test(statement.type) &&
        statement.type !== "BlockStatement" &&
        startsLine(statement.start)
      )
        break;
      if (above.type === "Program") break;
      statement = above;
    }
    const from = this.lineStart(statement.start);
    this.notes.push({ at: node.start, text });
    const key = `${from} ${text}`;
    const comment = `// sojourn-codemod: ${text}`;
    const before = this.text.slice(0, from).trimEnd();
    if (this.#commented.has(key) || before.endsWith(comment)) return;
    this.#commented.add(key);
    const indent = /^[ \t]*/.exec(this.text.slice(from))?.[0] ?? "";
    this.insert(from, `${indent}${comment}\n`);
  }

  result() {
    return this.edited ? this.edits.toString() : this.text;
  }

  /** The notes, with the lines that they have in the result. */
  notesOfResult() {
    const lines = this.result().split("\n");
    const used = new Set();
    return this.notes.map(({ at, text }) => {
      const found = lines.findIndex((line, i) => !used.has(i) && line.trim() === `// sojourn-codemod: ${text}`);
      if (found >= 0) used.add(found);
      return { line: found >= 0 ? found + 1 : this.lineOf(at), text };
    });
  }

  /** What is bound to the names of a module: `import a, { b as c } from`, `const a = require()`, `const { b: c } = require()`. */
  bindings(module) {
    const found = [];
    const add = (local, imported, statement, extra = {}) => found.push({ local, imported, statement, ...extra });
    for (const node of this.of("ImportDeclaration")) {
      if (node.source.value !== module) continue;
      for (const specifier of node.specifiers) {
        const imported =
          specifier.type === "ImportSpecifier"
            ? (specifier.imported.name ?? specifier.imported.value)
            : specifier.type === "ImportNamespaceSpecifier"
              ? "*"
              : "default";
        const type = node.importKind === "type" || specifier.importKind === "type";
        add(specifier.local.name, imported, node, { type });
      }
      if (node.specifiers.length === 0) add(undefined, "", node);
    }
    for (const node of this.of("TSImportEqualsDeclaration"))
      if (node.moduleReference.expression?.value === module) add(node.id.name, "default", node);
    for (const node of this.of("VariableDeclarator")) {
      const { id, init } = node;
      const statement = this.parent(node);
      if (isRequire(init, module)) {
        if (id.type === "Identifier") add(id.name, "default", statement, { declarator: node });
        else if (id.type === "ObjectPattern")
          for (const { key, value } of id.properties)
            if (value?.type === "Identifier") add(value.name, key.name, statement, { declarator: node });
      } else if (init?.type === "MemberExpression" && isRequire(init.object, module) && id.type === "Identifier")
        add(id.name, init.property.name, statement, { declarator: node });
    }
    return found;
  }

  /** Uses of a name that mean the binding at the top of the file. */
  references(name) {
    return this.of("Identifier").filter((node) => {
      if (node.name !== name) return false;
      const parent = this.parent(node);
      if (/^Import|^TSImportEquals/.test(parent.type)) return false;
      if (parent.type === "VariableDeclarator" && parent.id === node) return false;
      if (/MemberExpression$/.test(parent.type) && parent.property === node && !parent.computed) return false;
      if (
        /Property$|Method$|Signature$/.test(parent.type) &&
        parent.key === node &&
        !parent.computed &&
        !parent.shorthand
      )
        return false;
      for (const above of this.ancestors(node)) if (above.type !== "Program" && declares(above, name)) return false;
      return true;
    });
  }

  /** The function around a node. */
  functionAround(node) {
    for (const above of this.ancestors(node)) if (/Function|Method$/.test(above.type)) return above;
    return undefined;
  }
}

export function isRequire(node, module) {
  return (
    node?.type === "CallExpression" &&
    node.callee.name === "require" &&
    node.arguments[0]?.type === "StringLiteral" &&
    (module === undefined || node.arguments[0].value === module)
  );
}

/** Whether a function or a block declares a name that hides the file's. */
function declares(scope, name) {
  const bound = (pattern) => {
    if (!pattern) return false;
    if (pattern.type === "Identifier") return pattern.name === name;
    if (pattern.type === "AssignmentPattern") return bound(pattern.left);
    if (pattern.type === "RestElement") return bound(pattern.argument);
    if (pattern.type === "ArrayPattern") return pattern.elements.some(bound);
    if (pattern.type === "ObjectPattern") return pattern.properties.some((one) => bound(one.value ?? one));
    return false;
  };
  if (scope.params?.some(bound)) return true;
  const statements = scope.type === "BlockStatement" ? scope.body : [];
  return statements.some((one) =>
    one.type === "VariableDeclaration" ? one.declarations.some(({ id }) => bound(id)) : bound(one.id),
  );
}
