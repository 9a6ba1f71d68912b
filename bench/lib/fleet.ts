import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Batch, Call, Described, Prepared, Served, ServeSettings, Work } from "./messages.ts";

const folder = join(import.meta.dirname, "../contenders");

/** The names of the contenders' files. */
export const contenderFiles: readonly string[] = readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replace(/\.ts$/, ""))
  .sort();

/** The path of a program, and what it is told before the name of the script. */
export type Program = readonly [string, ...string[]];

/** A contender in a process of its own. */
export class Member {
  readonly file: string;
  readonly #child: ChildProcess;
  #errors = "";
  #described: Described | undefined;

  private constructor(file: string, [program, ...flags]: Program) {
    this.file = file;
    this.#child = fork(join(import.meta.dirname, "contender-process.ts"), [file], {
      execPath: program,
      execArgv: [...flags, "--disable-warning=ExperimentalWarning"],
      env: { ...process.env, NODE_ENV: "production" },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.on("data", (text) => {
      this.#errors = (this.#errors + text).slice(-4_000);
    });
  }

  /** @param program what runs it, such as a Node with flags of its own */
  static async start(file: string, program: Program = [process.execPath]): Promise<Member> {
    const member = new Member(file, program);
    member.#described = await member.#call<Described>({ method: "describe" });
    return member;
  }

  get about(): Described {
    if (this.#described === undefined) throw new Error(`${this.file} has not started`);
    return this.#described;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.file} has no process`);
    return this.#child.pid;
  }

  prepare(work: Work): Promise<Prepared> {
    return this.#call<Prepared>({ method: "prepare", work });
  }

  batch(requests: number): Promise<Batch> {
    return this.#call<Batch>({ method: "batch", requests });
  }

  close(): Promise<void> {
    return this.#call<void>({ method: "close" });
  }

  serve(settings: ServeSettings): Promise<Served> {
    return this.#call<Served>({ method: "serve", settings });
  }

  /** Of all its threads, since it started. */
  cpuMicroseconds(): Promise<number> {
    return this.#call<number>({ method: "cpu" });
  }

  /** The headers of the clients that have sessions, as they are now. */
  cookies(): Promise<string[]> {
    return this.#call<string[]>({ method: "cookies" });
  }

  stopServing(writes: number): Promise<void> {
    return this.#call<void>({ method: "stopServing", writes });
  }

  /** All of its threads, and not what it has started. */
  move(core: number): void {
    execFileSync("taskset", ["-acp", String(core), String(this.#child.pid)], { stdio: "ignore" });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill();
    await exited;
  }

  /** One at a time. */
  #call<T>(call: Call): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (reason: string) =>
      reject(new Error(`${this.file}, ${call.method}: ${reason}\n${this.#errors}`.trim()));
    const onExit = () => fail("its process ended");
    this.#child.once("exit", onExit);
    this.#child.once("message", (reply: { value?: T; error?: string }) => {
      this.#child.off("exit", onExit);
      if (reply.error === undefined) resolve(reply.value as T);
      else fail(reply.error);
    });
    this.#child.send(call);
    return promise;
  }
}

/** Starts these contenders, does the work, and ends their processes whatever happens. */
export async function withFleet<T>(
  files: readonly string[],
  work: (members: Member[]) => Promise<T>,
  core?: number,
): Promise<T> {
  const starting = files.map((file) =>
    Member.start(file, core === undefined ? undefined : ["taskset", "-c", String(core), process.execPath]),
  );
  try {
    return await work(await Promise.all(starting));
  } finally {
    for (const result of await Promise.allSettled(starting))
      if (result.status === "fulfilled") await result.value.stop();
  }
}
