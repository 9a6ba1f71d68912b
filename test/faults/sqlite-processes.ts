import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Another process at work on a database. */
export interface Other {
  readonly process: ChildProcess;
  /** What it said, line by line, until it ended. */
  readonly lines: AsyncIterator<string>;
  /** Resolves with the next line. Fails when it ended without one. */
  heard(): Promise<string>;
  tell(): void;
  /** Resolves when it has ended, with its exit code; `null` if it was killed. */
  readonly ended: Promise<number | null>;
}

export function start(task: string, path: string): Other {
  const child = spawn(process.execPath, ["--no-warnings", join(import.meta.dirname, "sqlite-child.ts"), task, path], {
    stdio: ["pipe", "pipe", "inherit"],
    // Hundreds are started, most of whose time would be spent on compiling the same files.
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "sojourn-test-compile-cache") },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, "close").then(([code]) => (typeof code === "number" ? code : null));
  return {
    process: child,
    lines,
    ended,
    tell: () => child.stdin.write("go\n"),
    async heard() {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`${task} ended before it said anything`);
      return value;
    },
  };
}
