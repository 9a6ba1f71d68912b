import { fileURLToPath } from "node:url";
import { type PluginObj, types as t, template, transformSync } from "@babel/core";

/** It has no types, so it is named, not imported. */
const modules = fileURLToPath(import.meta.resolve("@babel/plugin-transform-modules-commonjs"));

/**
 * Turns an ES module that the TypeScript compiler wrote into CommonJS, with Babel. Its assumptions make exports plain properties of `exports`,
 * which tests can replace, and whose names Node and bundlers see without running the code. Comments are dropped: the declaration files have
 * them.
 */
export function toCommonJs(source: string): string {
  const result = transformSync(source, {
    babelrc: false,
    configFile: false,
    parserOpts: { createImportExpressions: true },
    assumptions: { constantReexports: true, noIncompleteNsImportDetection: true },
    plugins: [loading, [modules, { importInterop: "none" }]],
    shouldPrintComment: (comment) => BUNDLER.test(comment),
  });
  if (typeof result?.code !== "string") throw new Error("Babel wrote nothing");
  return `${result.code}\n`;
}

/** Comments that tell a bundler to leave an `import()` alone. */
const BUNDLER = /webpackIgnore|@vite-ignore/;

/** What the compiler puts around the argument of `import()` where it is computed. */
const HELPER = "__rewriteRelativeImportExtension";

/** Node's own modules are not required, because a bundle that is an ES module has no `require`. */
const builtin = template.statement("const NAMES = process.getBuiltinModule(SOURCE);");

/** A file beside this one that is loaded when the code gets there. Jest refuses `import()`. */
const lazily = template.expression("(async () => require(SOURCE))()");

/**
 * A package is imported within a `try`, which is how bundlers know that it may be missing. It is not required, because Vite 7 makes a package
 * that is missing throw as soon as the bundle is loaded, unless it is imported.
 */
const maybeMissing = template.expression(
  "(async () => { try { return await LOAD; } catch (error) { throw error; } })()",
);

/** What Babel's own plugin has no option for. */
const loading = (): PluginObj => ({
  visitor: {
    ImportDeclaration(path) {
      const { source, specifiers } = path.node;
      if (!source.value.startsWith("node:")) return;
      const names = specifiers.map((specifier) => {
        if (specifier.type !== "ImportSpecifier") throw path.buildCodeFrameError("Name what you import of Node.");
        return t.objectProperty(specifier.imported, specifier.local);
      });
      for (const { local } of specifiers) path.scope.removeBinding(local.name);
      path.replaceWith(builtin({ NAMES: t.objectPattern(names), SOURCE: source }));
      path.scope.registerDeclaration(path);
    },
    ImportExpression(path) {
      const { source } = path.node;
      // A name that is computed stays a real `import()`, of a package: the compiler's helper for relative ones goes.
      if (source.type === "CallExpression" && t.isIdentifier(source.callee, { name: HELPER })) {
        const [name] = source.arguments;
        if (t.isExpression(name)) path.node.source = name;
      }
      if (source.type !== "StringLiteral") return;
      path.replaceWith(source.value.startsWith(".") ? lazily({ SOURCE: source }) : maybeMissing({ LOAD: path.node }));
      path.skip();
    },
    VariableDeclarator(path) {
      if (t.isIdentifier(path.node.id, { name: HELPER })) path.remove();
    },
    // For those who require the source: here a drop-in has a file for that.
    ExportSpecifier(path) {
      if (t.isStringLiteral(path.node.exported, { value: "module.exports" })) path.remove();
    },
  },
});
