import { readFileSync } from "node:fs";
import { parse } from "@babel/parser";
import { isReferenced, type Node, type TraversalAncestors, traverse } from "@babel/types";

/** Reads a source file into the facts that the rules of the architecture are about. */
export interface SourceFacts {
  imports: Import[];
  /** Globals that are used as values: `Date.now`, `setTimeout`, `Math.random`. A member is named where there is one. */
  globals: Mention[];
  /** Names of properties that are assigned, defined or deleted on something else than `this`. */
  patches: Mention[];
}

export interface Import {
  specifier: string;
  /** `type` is erased; `value` loads with the file; `lazy` loads when the code gets there. */
  kind: "type" | "value" | "lazy";
  line: number;
}

export interface Mention {
  name: string;
  line: number;
}

export function readSource(file: string): SourceFacts {
  const program = parse(readFileSync(file, "utf8"), { sourceType: "module", plugins: ["typescript"] });
  const globals: Mention[] = [];
  const patches: Mention[] = [];
  traverse(program, (node, ancestors) => {
    const line = lineOf(node);
    const global = globalUsed(node, ancestors);
    if (global !== undefined) globals.push({ name: global, line });
    for (const name of patchedNames(node)) patches.push({ name, line });
  });
  return { imports: importsOf(program), globals, patches };
}

/** Every module that a file names, in any way that the language has for it. A computed name is reported as `*`. */
export function importsOf(program: Node): Import[] {
  const imports: Import[] = [];
  const add = (node: Node, kind: Import["kind"], source: Node | null | undefined) =>
    imports.push({ specifier: source?.type === "StringLiteral" ? source.value : "*", kind, line: lineOf(node) });

  traverse(program, (node) => {
    switch (node.type) {
      case "ImportDeclaration":
        return void add(node, node.importKind === "type" ? "type" : "value", node.source);
      case "ExportAllDeclaration":
        return void add(node, node.exportKind === "type" ? "type" : "value", node.source);
      case "ExportNamedDeclaration":
        if (node.source) add(node, node.exportKind === "type" ? "type" : "value", node.source);
        return;
      case "TSImportType":
        return void add(node, "type", node.argument);
      case "TSExternalModuleReference":
        return void add(node, "value", node.expression);
      case "CallExpression":
        if (loadsModule(node.callee)) add(node, "lazy", node.arguments[0]);
        return;
    }
  });
  return imports;
}

/** `import(…)`, `require(…)`, `process.getBuiltinModule(…)` */
function loadsModule(callee: Node): boolean {
  if (callee.type === "Import") return true;
  if (callee.type === "Identifier") return callee.name === "require";
  return memberName(callee) === "getBuiltinModule";
}

/** Names that exist without an import and reach the time, randomness or timers when used as a value. */
const WATCHED = new Set([
  "Date",
  "performance",
  "process",
  "setTimeout",
  "setInterval",
  "AbortSignal",
  "Math",
  "Temporal",
  "crypto",
]);

function globalUsed(node: Node, ancestors: TraversalAncestors): string | undefined {
  const parent = ancestors.at(-1)?.node;
  if (parent === undefined) return;
  let name: string;
  const user = parent;
  const self = node;
  if (node.type === "Identifier") {
    if (!isReferenced(node, parent)) return;
    name = node.name;
  } else if (isGlobalThis(node)) {
    name = memberName(node) ?? "";
  } else return;
  if (!WATCHED.has(name) || ancestors.some(({ node: { type } }) => isTypePosition(type))) return;

  if ("object" in user && user.object === self) {
    const member = memberName(user);
    if (member !== undefined) return `${name}.${member}`;
  }
  if (name === "Date") {
    // A date made of a given time, and a test whether something is a date, read no clock.
    if (user.type === "NewExpression" && user.callee === self && user.arguments.length > 0) return;
    if (user.type === "BinaryExpression" && user.operator === "instanceof") return;
  }
  return name;
}

function isTypePosition(type: string): boolean {
  return type === "TSTypeQuery" || type === "TSTypeReference" || type === "TSTypeAnnotation";
}

function isGlobalThis(node: Node): boolean {
  return (
    "object" in node && typeof node.object === "object" && node.object !== null && isNamed(node.object, "globalThis")
  );
}

function isNamed(node: { type: string; name?: unknown }, name: string): boolean {
  return node.type === "Identifier" && node.name === name;
}

/** The names that a statement puts on (or takes off) an object it was given. */
function patchedNames(node: Node): string[] {
  if (node.type === "AssignmentExpression") return patchedMember(node.left);
  if (node.type === "UnaryExpression" && node.operator === "delete") return patchedMember(node.argument);
  if (node.type !== "CallExpression" || !definesProperties(node.callee)) return [];
  const [, second] = node.arguments;
  if (second?.type === "StringLiteral") return [second.value];
  if (second?.type !== "ObjectExpression") return [];
  return second.properties.flatMap((property) => ("key" in property ? present(keyName(property.key)) : []));
}

function patchedMember(node: Node): string[] {
  return "object" in node && typeof node.object === "object" && node.object?.type === "ThisExpression"
    ? []
    : present(memberName(node));
}

/** `Object.defineProperty`, `Object.assign`, `Reflect.set` and their kind */
function definesProperties(callee: Node): boolean {
  if (callee.type !== "MemberExpression" || callee.object.type !== "Identifier") return false;
  const owner = callee.object.name;
  const name = memberName(callee) ?? "";
  return (
    (owner === "Object" || owner === "Reflect") &&
    /^(defineProperty|defineProperties|assign|set|deleteProperty)$/.test(name)
  );
}

function memberName(node: Node): string | undefined {
  if (node.type !== "MemberExpression" && node.type !== "OptionalMemberExpression") return undefined;
  return node.computed && node.property.type !== "StringLiteral" ? undefined : keyName(node.property);
}

function keyName(key: Node): string | undefined {
  if (key.type === "Identifier") return key.name;
  return key.type === "StringLiteral" ? key.value : undefined;
}

function present(name: string | undefined): string[] {
  return name === undefined ? [] : [name];
}

function lineOf(node: Node): number {
  return node.loc?.start.line ?? 0;
}
