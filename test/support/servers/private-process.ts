import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Database servers refuse to run as root: then they run as nobody. `{}` where the tests run as someone else already. */
export const unprivileged: { uid: number; gid: number } | Record<never, never> =
  process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : {};

function idOf(which: "-u" | "-g"): number {
  return Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }));
}

/** An empty folder that a server may write to; gone when the test process is. */
export function serverFolder(prefix: string): string {
  const folder = mkdtempSync(join(tmpdir(), `sojourn-${prefix}-`));
  if ("uid" in unprivileged) chownSync(folder, unprivileged.uid, unprivileged.gid);
  process.on("exit", () => {
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // A server that was just killed may still hold it; the next folder must go all the same.
    }
  });
  return folder;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

/** Where a program is, `undefined` where it isn't. */
export function findProgram(name: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v "${name}"`], {
      encoding: "utf8",
      env: {
        ...process.env,
        PATH: [process.env.PATH, "/usr/sbin", "/usr/local/sbin", ...globSync("/usr/lib/postgresql/*/bin")].join(":"),
      },
    }).trim();
  } catch {
    return undefined;
  }
}

let tables = 0;

/** A table that no other test has. */
export function tableName(): string {
  return `t_${process.pid.toString(36)}_${Date.now().toString(36)}_${++tables}`;
}

/** A server of the tests' own, as an ordinary process. */
export class PrivateProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = "";

  constructor(program: string, args: readonly string[], cwd: string) {
    this.#child = spawn(program, args, {
      ...unprivileged,
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env.PATH },
    });
    this.#exited = once(this.#child, "exit");
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-4_000);
    };
    this.#child.stdout?.on("data", keep);
    this.#child.stderr?.on("data", keep);
    const kill = () => this.#child.kill("SIGKILL");
    process.on("exit", kill);
    this.#child.once("exit", () => process.removeListener("exit", kill));
  }

  /** The end of what it wrote. */
  get output(): string {
    return this.#output;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /**
   * Stops it, and its own processes, in the middle of whatever they are doing. The signal returns
   * before the threads stand still, and one that runs on another core may still answer a call: this
   * waits until all are stopped.
   */
  freeze(): void {
    const pids = this.#pids();
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    const end = Date.now() + 5_000;
    while (!pids.every(isStopped)) if (Date.now() > end) throw new Error("the server does not stop");
  }

  thaw(): void {
    for (const pid of this.#pids().reverse()) process.kill(pid, "SIGCONT");
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.isRunning) this.#child.kill(signal);
    await this.#exited;
  }

  /** Its own first, then those that it started. */
  #pids(): number[] {
    const { pid } = this.#child;
    if (pid === undefined || !this.isRunning) return [];
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").map(Number);
    return [pid, ...children.filter((child) => child > 0)];
  }
}

/** Whether each thread of a process stands still: state T of proc_pid_stat(5). */
function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8").includes(") T "),
  );
}

/** Tries until it works, for half a minute at most: a server that starts has no other sign. */
export async function eventually<T>(what: string, attempt: () => Promise<T>, pauseMs = 20): Promise<T> {
  const end = Date.now() + 30_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what} did not happen within 30 s`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
