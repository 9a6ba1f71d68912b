import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { build } from "../../scripts/empty-app.ts";
import { root } from "../../scripts/package.ts";
import { type Block, blocksOf, isCode } from "./pages.ts";

/**
 * Runs what a page shows, as it stands there, in a folder of the page's own:
 *
 * - A block whose first line is a comment with a file's name is that file, for the others to import.
 * - A block under `<!-- given: a handler -->` is put into `given/a-handler.ts`, which says what surrounds it.
 * - A named block whose name has `.test.` is run by its test runner.
 * - Any other block is a program. Its port 3000 is some free port.
 * - A `console` block is a transcript: its `$ curl …` lines are sent to the program before it, and must print what
 *   follows them. `…` stands for anything.
 * - `given/<page>.ts` checks what no transcript can, such as WebSockets.
 */
interface Program {
  block: Block;
  file: string;
}

const run = promisify(execFile);
const TIMEOUT_MS = 30_000;
const tsc = join(root, "node_modules/typescript/bin/tsc");
const given = join(import.meta.dirname, "given");
const decorated = /^@\w+\(/m;

export class Workshop {
  readonly folder: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #programs = new Map<string, Program[]>();

  /** In `parent`, where the pages' packages are found. Sojourn is what is built: it, too, is what users get. */
  constructor(parent: string, environment: NodeJS.ProcessEnv) {
    build();
    this.folder = join(parent, ".run");
    this.#environment = { ...process.env, SESSION_SECRET: "a secret of a test, long enough for all", ...environment };
    this.remove();
    mkdirSync(this.folder);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #place(page: string): string {
    return join(this.folder, page.replaceAll(/\W+/g, "-"));
  }

  /** Writes a page's programs; nothing runs yet. */
  write(page: string): void {
    const place = this.#place(page);
    mkdirSync(place);
    for (const name of ["users.js", "session-data.d.ts"]) cpSync(join(given, name), join(place, name));
    const programs = blocksOf(page)
      .filter((block) => isCode(block) && block.notRun === undefined)
      .map((block) => {
        const extension = block.given === undefined ? block.language : "ts";
        const file = join(place, block.name ?? `line-${block.line}.${extension}`);
        writeFileSync(file, block.given === undefined ? block.code : inContext(block.given, block.code));
        return { block, file };
      });
    this.#programs.set(page, programs);
  }

  /** Type-checks everything that was written: all at once, but for what declares types for everybody. */
  async compile(): Promise<void> {
    const files = [...this.#programs.values()].flat().map(({ file }) => file);
    const alone = files.filter((file) => /^declare /m.test(readFileSync(file, "utf8")));
    const together = files.filter((file) => !alone.includes(file));
    const data = join(dirname(together[0] ?? ""), "session-data.d.ts");
    if (together.length > 0) await this.#compile([data, ...together]);
    for (const file of alone) await this.#compile([file]);
  }

  async #compile(files: string[], more: object = {}): Promise<void> {
    const compilerOptions = {
      module: "nodenext",
      target: "es2023",
      lib: ["esnext", "dom"],
      types: ["node"],
      allowJs: true,
      checkJs: true,
      strict: true,
      noImplicitAny: false,
      useUnknownInCatchVariables: false,
      skipLibCheck: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      ...more,
    };
    const project = join(this.folder, "tsconfig.json");
    writeFileSync(project, JSON.stringify({ compilerOptions, files }));
    await run(process.execPath, [tsc, "-p", project], { timeout: 2 * TIMEOUT_MS }).catch((error) => {
      throw new Error(String(Object(error).stdout), { cause: error });
    });
  }

  /** Runs a page's programs in their order, each with the transcripts that follow it. */
  async run(page: string): Promise<void> {
    const blocks = blocksOf(page);
    const programs = this.#programs.get(page) ?? [];
    for (const { block, file } of programs) {
      const next = blocks.findIndex((other) => other.line > block.line && isProgram(other));
      const own = blocks.slice(
        blocks.findIndex(({ line }) => line === block.line),
        next < 0 ? undefined : next,
      );
      const transcripts = own.filter(({ language }) => language === "console").map(({ code }) => code);
      if (isProgram(block)) await this.#runProgram(page, block, file, transcripts);
      else if (block.name?.includes(".test.")) await this.#runTests(file);
      else assert.ok(this.#isImported(block, programs), `${page} imports ${block.name}`);
    }
  }

  /** With the test runner that the file asks for. */
  async #runTests(file: string): Promise<void> {
    const code = readFileSync(file, "utf8");
    const modules = join(this.folder, "../node_modules");
    const runner = code.includes('"vitest"')
      ? [join(modules, "vitest/vitest.mjs"), "run", "--root", this.folder, file]
      : code.includes('"node:test"')
        ? ["--test", file]
        : [join(modules, "jest/bin/jest.js"), "--rootDir", this.folder, "--testMatch", file];
    const options = { cwd: this.folder, env: { ...this.#environment, NODE_TEST_CONTEXT: "" }, timeout: 2 * TIMEOUT_MS };
    await run(process.execPath, runner, options).catch((error) => {
      throw new Error(`${basename(file)}: ${Object(error).stdout}${Object(error).stderr}`, { cause: error });
    });
  }

  #isImported({ name }: Block, programs: Program[]): boolean {
    return programs.some(({ block }) => block.code.includes(`./${name}"`));
  }

  async #runProgram(page: string, block: Block, file: string, transcripts: string[]): Promise<void> {
    const cwd = this.#place(page);
    let program = file;
    if (decorated.test(block.code)) {
      await this.#compile([file], { noEmit: false, rootDir: cwd, outDir: cwd, allowImportingTsExtensions: false });
      program = file.replace(/\.ts$/, ".js");
    }
    const where = `${page}:${block.line}`;
    const child = spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "--import", join(given, "port.js"), program],
      { cwd, env: this.#environment, stdio: ["ignore", "pipe", "pipe", "ipc"] },
    );
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => output.push(chunk));
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    const ended = once(child, "close");
    try {
      const port = await Promise.race([once(child, "message").then(([port]) => Number(port)), ended.then(() => 0)]);
      if (port !== 0) {
        for (const transcript of transcripts) await follow(transcript, port, cwd);
        if (transcripts.length === 0) await visit(block.code, port);
        await check(page, port);
        assert.equal(child.exitCode, null, "the program still runs");
        child.kill();
        await ended;
      } else {
        assert.equal(child.exitCode, 0, `ends by itself, with ${child.signalCode ?? child.exitCode}`);
        assert.equal(transcripts.length, 0, "a transcript needs a program that listens on port 3000");
      }
    } catch (error) {
      throw new Error(`${where}: ${Object(error).message}\n${Buffer.concat(output)}`, { cause: error });
    } finally {
      clearTimeout(timer);
      stop(child);
    }
  }
}

/** Whether a block is started: a named one is, if it listens. */
function isProgram(block: Block): boolean {
  if (!isCode(block) || block.notRun !== undefined) return false;
  return block.name === undefined || block.code.includes(".listen(3000");
}

function stop(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
}

function inContext(name: string, code: string): string {
  const context = readFileSync(join(given, `${name.replaceAll(" ", "-")}.ts`), "utf8");
  const imports = [...code.matchAll(/^import .*$/gm)].map(([line]) => line);
  const [before, after, ...more] = context.split(/^ *\/\/ THE BLOCK\n/m);
  assert.ok(after !== undefined && more.length === 0, `given/${name} has one place for the block`);
  return [...imports, before, code.replaceAll(/^import .*$/gm, ""), after].join("\n");
}

/** Plays a transcript. */
async function follow(transcript: string, port: number, cwd: string): Promise<void> {
  const steps = transcript.split(/^\$ /m).filter((step) => step.trim() !== "");
  for (const step of steps) {
    const [, command = "", expected = ""] = /^((?:.*\\\n)*.*)\n?([\s\S]*)$/.exec(step) ?? [];
    const ours = command.replaceAll("localhost:3000", `127.0.0.1:${port}`).replaceAll(/\bcurl\b/g, "curl -sS");
    const { stdout } = await run("bash", ["-c", ours], { cwd, timeout: TIMEOUT_MS });
    const pattern = RegExp.escape(expected.trim()).replaceAll(RegExp.escape("…"), "[\\s\\S]*?");
    const shown = stdout.replaceAll("\r", "").trim();
    assert.match(shown, new RegExp(`^${pattern}$`), `$ ${command}\n${shown}`);
  }
}

/** One visitor requests each route twice: none may fail. */
async function visit(code: string, port: number): Promise<void> {
  const routes = [...code.matchAll(/^\w+\.(get|post)\("(\/[^":*{]*)"/gm)];
  let cookie = "";
  for (const [, method = "get", path = "/"] of [...routes, ...routes]) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: method.toUpperCase(),
      headers: { cookie },
      redirect: "manual",
      ...(method === "post" && { body: new URLSearchParams({ username: "ada", password: "open sesame" }) }),
    });
    assert.ok(response.status < 500, `${method} ${path}: ${response.status} ${await response.text()}`);
    cookie = response.headers.getSetCookie()[0]?.replace(/;.*/, "") ?? cookie;
  }
}

/** `given/<page>.ts`, if there is one. */
async function check(page: string, port: number): Promise<void> {
  const name = basename(page, ".md");
  if (!checks.includes(name)) return;
  const { check } = await import(join(given, `${name}.ts`));
  await check(port);
}

/** The pages that have one. */
const checks = ["websockets", "server-sent-events", "openid-connect"];
