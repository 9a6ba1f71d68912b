import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./package.ts";

/** An application in an empty folder, far from this repository, with the packed tarball installed and nothing else. */
export interface EmptyApp {
  folder: string;
  /** What the tarball holds, `/`-separated. */
  files: string[];
  /** Runs a command in the folder; what it printed. Throws with all of it when it fails. */
  run(command: string, ...args: string[]): string;
  /** Checks types of the application's files with a TypeScript compiler. Throws with what it says when it refuses. */
  compile(tsc: string, files: string[], options: Record<string, unknown>): void;
  /** Gives the application a package of this repository's, the way an installation would. */
  link(name: string): void;
  remove(): void;
}

interface AppOptions {
  /** Install the packages that bear the originals' names, too, in the place of the originals everywhere. */
  aliases?: boolean;
  /** What else to install, from the registry: names and versions. */
  dependencies?: Record<string, string>;
}

/** What an installation says on success, and what it may run, is of no interest here. */
const QUIETLY = [
  "--no-audit",
  "--no-fund",
  "--no-package-lock",
  "--ignore-scripts",
  "--omit=optional",
  "--loglevel=error",
];

/**
 * Builds what is not built yet, packs, installs, without a network if there is nothing to have from there, and copies the programs of
 * `test/package/apps/`.
 */
export function createEmptyApp({ aliases = false, dependencies = {} }: AppOptions = {}): EmptyApp {
  build();
  const folder = mkdtempSync(join(tmpdir(), "sojourn-app-"));
  const run = (command: string, ...args: string[]) => runIn(folder, command, ...args);
  try {
    const pack = (source: string) => {
      const known = new Set(readdirSync(folder));
      runIn(source, "npm", "pack", "--pack-destination", folder, "--ignore-scripts");
      return `file:./${readdirSync(folder).find((file) => !known.has(file))}`;
    };
    const sojourn = pack(root);
    const files = run("tar", "-tzf", sojourn.slice("file:".length)).trim().split("\n");
    const names = aliases ? ["cookie-session", "express-session"] : [];
    const renamed = names.map((name) => [name, pack(join(root, "packages", name))]);
    const manifest = {
      private: true,
      type: "module",
      dependencies: { sojourn, ...Object.fromEntries(renamed), ...dependencies },
      // Some stores' types bring the originals' types.
      overrides: Object.fromEntries(
        names.flatMap((name) => [
          [name, `$${name}`],
          [`@types/${name}`, `$${name}`],
        ]),
      ),
    };
    writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
    run("npm", "install", Object.keys(dependencies).length === 0 ? "--offline" : "--prefer-offline", ...QUIETLY);
    cpSync(join(root, "test/package/apps"), folder, { recursive: true });
    return {
      folder,
      files: files.map((file) => file.replace(/^package\//, "")).sort(),
      run,
      compile(tsc, programs, options) {
        const compilerOptions = { strict: true, noEmit: true, target: "es2022", types: ["node"], ...options };
        writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: programs }));
        run(process.execPath, tsc, "-p", "tsconfig.json");
      },
      link(name) {
        mkdirSync(join(folder, "node_modules", name, ".."), { recursive: true });
        symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name), "dir");
      },
      remove: () => rmSync(folder, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Builds `dist/` only where the source is newer: test files run at once, and `npm run test:package` has built before they do. */
export function build(): void {
  const built = join(root, "dist/package.json");
  const builtAt = existsSync(built) ? statSync(built).mtimeMs : 0;
  const sources = globSync(["src/**/*.ts", "scripts/{build,bundle}.ts"], { cwd: root });
  if (sources.some((file) => statSync(join(root, file)).mtimeMs > builtAt))
    runIn(root, process.execPath, "scripts/build.ts");
}

/** Long for any of these programs; a process that stays alive is a failure. */
const TIMEOUT_MS = 60_000;

function runIn(cwd: string, command: string, ...args: string[]): string {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
  if (status === 0) return stdout;
  const reason = error?.message ?? `ended with ${signal ?? status}`;
  throw new Error(`${[command, ...args].join(" ")} in ${cwd}: ${reason}\n${stdout}${stderr}`);
}
