import { join, relative } from "node:path";
import { transform } from "esbuild";
import { type GetModuleInfo, type Plugin, type ProgramNode, rollup } from "rollup";
import { entryPoints } from "./package.ts";

/**
 * Joins the ES modules that the TypeScript compiler wrote into a few files of CommonJS, with Rollup: Node takes longer to find and read eighty
 * small files than to run them. Exports are plain properties of `exports`, which tests can replace, and whose names Node and bundlers see
 * without running the code.
 */
export async function bundle(from: string, to: string): Promise<void> {
  const names = entryPoints().map(({ built }) => built.replace("./dist/", ""));
  const build = await rollup({
    input: Object.fromEntries(names.map((name) => [name, join(from, `${name}.js`)])),
    external: /^[^./]/,
    plugins: [loading],
    treeshake: false,
    onLog(_level, { message }) {
      throw new Error(message);
    },
  });
  await build.write({
    dir: to,
    format: "cjs",
    exports: "named",
    esModule: true,
    externalLiveBindings: false,
    generatedCode: { preset: "es2015", symbols: false },
    hoistTransitiveImports: false,
    minifyInternalExports: false,
    manualChunks: (id, { getModuleInfo }) => sharedFile(relative(from, id), usersOf(id, from, getModuleInfo)),
    onlyExplicitManualChunks: true,
    chunkFileNames: ({ name, moduleIds }) =>
      SHARED.includes(name) ? `${name}.js` : relative(from, moduleIds.at(-1) ?? name),
  });
  await build.close();
}

/** Who needs a module: `index`, `stores`, `compat` or `testing`. */
type User = string | undefined;

const SHARED = ["contract", "shared", "core"];

/**
 * Returns the file of `dist/` that a module of several entry points goes into. `sojourn` loads all of them. `core` is needed by it alone: it is
 * no part of `index.js`, because to `import` that, Node reads it twice. For other modules, Rollup finds the place.
 */
function sharedFile(path: string, users: Set<User>): string | undefined {
  const isOfOneStore = /^stores\/(\w+\/|memory|sealed)/.test(path);
  if (path === "index.js" || isOfOneStore || !users.has("index")) return undefined;
  if (users.has("stores")) return "contract";
  return users.has("compat") ? "shared" : "core";
}

function usersOf(id: string, from: string, getModuleInfo: GetModuleInfo, seen = new Set<string>()): Set<User> {
  const users = new Set<User>();
  if (seen.has(id)) return users;
  seen.add(id);
  const info = getModuleInfo(id);
  if (info?.isEntry) users.add(relative(from, id).split(/[./]/)[0]);
  for (const importer of info?.importers ?? [])
    for (const user of usersOf(importer, from, getModuleInfo, seen)) users.add(user);
  return users;
}

/** What the compiler puts around the argument of `import()` where it is computed. */
const HELPER = "__rewriteRelativeImportExtension";

/** Says of an ES module how Node's modules, and packages whose name is computed, are loaded. */
function loadedOtherwise(code: string): string {
  return (
    code
      // Node's own modules are not required, because a bundle that is an ES module has no `require`.
      .replaceAll(/^import \{(.+)\} from "(node:.+)";$/gm, (_, names: string, module: string) => {
        return `const {${names.replaceAll(" as ", ": ")}} = process.getBuiltinModule("${module}");`;
      })
      // A name that is computed stays a real `import()`, of a package.
      .replace(new RegExp(`^var ${HELPER} = .+?^};$`, "ms"), "")
      .replaceAll(new RegExp(`import\\(${HELPER}\\((\\w+)\\)\\)`, "g"), "import($1)")
      // For those who require the source: here a drop-in has a file for that.
      .replaceAll(/\w+ as "module\.exports",? ?/g, "")
  );
}

/**
 * Begins a line with each statement and each member of a class, because Node shows the line of an error that nobody caught above its
 * message. esbuild's `lineLimit` would break texts too, into which Rollup's plug-in for CommonJS then writes tabs.
 */
function inLines(code: string, program: ProgramNode): string {
  const starts = startsIn(program).sort((one, other) => one - other);
  return starts.map((start, i) => code.slice(start, starts[i + 1])).join("\n");
}

/** Where the statements and members beneath a node begin. */
function startsIn(node: unknown): number[] {
  if (typeof node !== "object" || node === null) return [];
  const children = Object.values(node);
  const listed = "body" in node && Array.isArray(node.body) ? node.body : [];
  return [...listed.map(({ start }) => Number(start)), ...children.flatMap(startsIn)];
}

const loading: Plugin = {
  name: "loading",
  /**
   * Small files load faster, and V8 keeps their text. For stack traces, what a module exports and the public members of classes keep their
   * names, and lines are statements. ASCII, because V8 keeps a file with a single other letter in twice the memory.
   */
  async transform(source) {
    const { code } = await transform(loadedOtherwise(source), {
      minifyWhitespace: true,
      minifyIdentifiers: true,
      charset: "ascii",
    });
    return { code: inLines(code, this.parse(code)), map: null };
  },
  /**
   * A package is imported within a `try`, which is how bundlers know that it may be missing. It is not required, because Vite 7 makes a package
   * that is missing throw as soon as the bundle is loaded, unless it is imported.
   */
  renderDynamicImport({ targetModuleId, targetChunk }) {
    if (targetChunk !== null) return null;
    // A computed name: comments tell bundlers to leave it alone.
    if (targetModuleId === null) return { left: "import(/* webpackIgnore: true */ /* @vite-ignore */ ", right: ")" };
    return { left: "(async () => { try { return await import(", right: "); } catch (error) { throw error; } })()" };
  },
};
