import { convertHandlers } from "./handlers.js";
import { convertOptions } from "./options.js";
import { isRequire } from "./source.js";
import { STORES } from "./stores.js";

/** Types of express-session that sojourn has under the same name. */
const SAME_TYPES = new Set(["SessionData", "Session", "SessionOptions"]);

/** The application uses `sojourn` itself. */
export function toNative(source, project) {
  const imports = new Imports(source);
  const originals = ["express-session", "cookie-session"].flatMap((module) =>
    source.bindings(module).map((binding) => ({ ...binding, module })),
  );
  const middleware = originals.filter(({ imported, type }) => !type && (imported === "default" || imported === "*"));

  convertStores(source, imports, middleware);
  convertMemoryStore(source, imports, middleware);
  for (const { local, module } of middleware) convertCalls(source, imports, local, module);
  convertFlash(source, imports, project);
  convertTypes(source, imports, originals, project);
  for (const { statement, declarator } of originals) imports.replaces(statement, declarator);
  convertHandlers(source, project);
  imports.write();
}

/** Collects what is imported of sojourn, and writes it in the place of what it replaces. */
class Imports {
  #wanted = new Map();
  #types = new Map();
  #gone = new Set();
  #goneParts = new Map();

  constructor(source) {
    this.source = source;
  }

  want(module, name, local = name) {
    if (!this.#wanted.has(module)) this.#wanted.set(module, new Map());
    this.#wanted.get(module).set(local, name);
  }

  wantType(module, name, local = name) {
    if (!this.#types.has(module)) this.#types.set(module, new Map());
    this.#types.get(module).set(local, name);
  }

  /** Imports a module for what it declares. */
  wantAlone(module) {
    if (!this.#wanted.has(module)) this.#wanted.set(module, new Map());
  }

  /** A statement that is not needed any more, or one of its declarations. */
  replaces(statement, declarator) {
    if (statement.type !== "VariableDeclaration" || statement.declarations.length === 1) this.#gone.add(statement);
    else if (declarator !== undefined) this.#goneParts.set(declarator, statement);
  }

  write() {
    const { source } = this;
    const gone = [...this.#gone].sort((a, b) => a.start - b.start);
    const [first] = [...gone, ...this.#goneParts.values()].sort((a, b) => a.start - b.start);
    if (first !== undefined) {
      const text = source.text.slice(first.start, first.end);
      const quote = text.includes("'") && !text.includes('"') ? "'" : '"';
      const end = text.endsWith(";") ? ";" : "";
      const names = (all, as) =>
        [...all].map(([local, name]) => (local === name ? name : `${name}${as}${local}`)).join(", ");
      const lines = [];
      for (const [module, all] of [...this.#wanted].sort()) {
        const from = `${quote}${module}${quote}`;
        const load = `require(${from})`;
        if (all.get("expressSession") === "default")
          lines.push(source.esm ? `import expressSession from ${from}${end}` : `const expressSession = ${load}${end}`);
        else if (all.size === 0) lines.push(source.esm || source.typescript ? `import ${from}${end}` : `${load}${end}`);
        else if (source.esm) lines.push(`import { ${names(all, " as ")} } from ${from}${end}`);
        else lines.push(`const { ${names(all, ": ")} } = ${load}${end}`);
      }
      for (const [module, all] of [...this.#types].sort())
        lines.push(`import type { ${names(all, " as ")} } from ${quote}${module}${quote}${end}`);
      source.insert(source.lineStart(first.start), lines.map((line) => `${line}\n`).join(""));
    }
    for (const statement of gone) source.removeStatement(statement);
    for (const statement of new Set(this.#goneParts.values())) {
      const left = statement.declarations.filter((one) => !this.#goneParts.has(one)).map((one) => source.textOf(one));
      const end = source.text[statement.end - 1] === ";" ? ";" : "";
      if (left.length === 0) source.removeStatement(statement);
      else source.replace(statement, `${statement.kind} ${left.join(", ")}${end}`);
    }
  }
}

/** `session({ … })`; what else is done with the name needs the drop-in's. */
function convertCalls(source, imports, local, module) {
  for (const node of source.references(local)) {
    const parent = source.parent(node);
    if (parent.type === "CallExpression" && parent.callee === node) {
      imports.want("sojourn", "session", local);
      const [options] = parent.arguments;
      const object = options?.type === "Identifier" ? literalOf(source, options.name) : options;
      const wanted = (from, name) => imports.want(from, name);
      if (object?.type === "ObjectExpression") source.replace(object, convertOptions(source, object, module, wanted));
      else if (options !== undefined)
        source.note(parent, "these options are not written here: compare them with the options of sojourn's session()");
    } else if (!imports.done?.has(node)) {
      if (parent.type === "TSQualifiedName" || parent.type === "TSTypeQuery") {
        source.note(node, `this is a type of ${module}: sojourn has others`);
        imports.want("sojourn", "session", local);
        continue;
      }
      imports.want(`sojourn/${module}`, "default", "expressSession");
      source.replace(node, "expressSession");
    }
  }
}

/** The object that a name of this file stands for. */
function literalOf(source, name) {
  const found = source.of("VariableDeclarator").filter(({ id, init }) => id.name === name && init !== null);
  const init = found.length === 1 ? found[0].init : undefined;
  return init?.type === "TSAsExpression" || init?.type === "TSSatisfiesExpression" ? init.expression : init;
}

function convertStores(source, imports, middleware) {
  imports.done = new Set();
  const isMiddleware = (node) => middleware.some(({ local }) => node?.type === "Identifier" && node.name === local);
  for (const [module, store] of Object.entries(STORES)) {
    const bindings = source.bindings(module);
    const made = [];
    const factories = [];
    for (const { local, imported, statement, declarator, type } of bindings) {
      if (type) continue;
      if (store.classes?.includes(imported)) made.push({ local, statement, declarator });
      else factories.push({ local, statement, declarator });
    }
    const isFactory = (node) =>
      isRequire(node, module) || (node?.type === "Identifier" && factories.some(({ local }) => local === node.name));
    const inline = [];
    for (const call of source.of("CallExpression")) {
      if (!isFactory(call.callee) || !(isMiddleware(call.arguments[0]) || isOriginal(call.arguments[0]))) continue;
      if (call.arguments[0].type === "Identifier") imports.done.add(call.arguments[0]);
      const parent = source.parent(call);
      if (parent.type === "VariableDeclarator" && parent.id.type === "Identifier")
        made.push({ local: parent.id.name, statement: source.parent(parent), declarator: parent });
      else if (parent.type === "NewExpression") inline.push(parent);
      else source.note(call, `give ${store.to} of ${store.from} to session()`);
    }
    const uses = made.flatMap(({ local }) => source.references(local));
    const news = uses
      .map((node) => source.parent(node))
      .filter((parent, i) => parent.type === "NewExpression" && parent.callee === uses[i]);
    for (const node of [...news, ...inline]) {
      const result = store.write(source, node);
      if (result === undefined) {
        source.note(node, `give ${store.to} of ${store.from} here; its options can't be told from this`);
        continue;
      }
      imports.want(store.from, store.to);
      const { text, needs } = typeof result === "string" ? { text: result } : result;
      if (needs !== undefined) imports.want(...needs);
      source.replace(node, text);
    }
    if (made.length + inline.length === 0) continue;
    for (const { statement, declarator } of [...made, ...factories]) imports.replaces(statement, declarator);
  }
}

function isOriginal(node) {
  return isRequire(node, "express-session");
}

/** `new session.MemoryStore()`, and `MemoryStore` by name. */
function convertMemoryStore(source, imports, middleware) {
  const named = source.bindings("express-session").filter(({ imported }) => imported === "MemoryStore");
  for (const node of source.of("NewExpression")) {
    const { callee } = node;
    const member =
      callee.type === "MemberExpression" &&
      callee.property.name === "MemoryStore" &&
      middleware.some(({ local }) => local === callee.object.name);
    const byName = named.some(({ local }) => local === callee.name);
    if (!member && !byName) continue;
    if (member) imports.done.add(callee.object);
    imports.want("sojourn", "MemoryStore");
    source.replace(node, "new MemoryStore()");
  }
}

/** connect-flash keeps its messages in the session's data under a name that sojourn's own `flash` has. */
function convertFlash(source, imports, project) {
  const bindings = source.bindings("connect-flash");
  for (const { local, statement, declarator } of bindings) {
    for (const node of source.references(local)) {
      const call = source.parent(node);
      if (call.type !== "CallExpression" || call.callee !== node) continue;
      const use = source.parent(call);
      const whole = source.parent(use);
      if (
        !project.flashByName &&
        use.type === "CallExpression" &&
        use.arguments.length === 1 &&
        whole.type === "ExpressionStatement"
      )
        source.removeStatement(whole);
      else {
        source.replace(
          call,
          "(req, res, next) => {\n  req.flash = (type, ...message) => req.session.flash(type, ...message);\n  next();\n}",
        );
      }
    }
    imports.replaces(statement, declarator);
  }
  for (const call of source.of("CallExpression")) {
    const { callee } = call;
    if (callee.type !== "MemberExpression" || callee.property.name !== "flash") continue;
    if (!/^(?:req|request)$/.test(callee.object.name ?? "")) continue;
    if (call.arguments.length === 0)
      source.note(call, "sojourn takes the messages of one type: req.session.flash(type)");
    else if (call.arguments.length > 2) source.note(call, "sojourn does not format messages: give the whole text");
    else if (call.arguments[1]?.type === "ArrayExpression")
      source.note(call, "sojourn keeps a list as one message: call flash once for each");
    source.insert(callee.object.end, ".session");
  }
}

function convertTypes(source, imports, originals, project) {
  for (const { local, imported, module, type } of originals) {
    if (imported === "default" || imported === "*" || imported === "MemoryStore") continue;
    if (imported === "") imports.wantAlone("sojourn");
    else if (SAME_TYPES.has(imported)) imports.wantType("sojourn", imported, local);
    else {
      if (type || source.typescript) imports.wantType(`sojourn/${module}`, imported, local);
      else imports.want(`sojourn/${module}`, imported, local);
      source.notes.push({ at: 0, text: `${imported} comes from sojourn/${module}: sojourn itself has no such thing` });
    }
  }
  for (const declaration of source.of("TSModuleDeclaration")) {
    if (declaration.id.value !== "express-session") continue;
    const quote = source.text[declaration.id.start];
    source.replace(declaration.id, `${quote}sojourn${quote}`);
    imports.wantAlone("sojourn");
    for (const member of source.of("TSPropertySignature")) {
      if (member.start < declaration.start || member.end > declaration.end) continue;
      const { name } = member.key;
      if (name === "userId") source.removeStatement(member);
      else if (project.taken.has(name)) source.replace(member.key, `${name}Data`);
    }
  }
}
