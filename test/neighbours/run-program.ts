import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const folder = import.meta.dirname;

/** Runs a program of this folder's, by this Node or another one. Throws with all that it said unless it succeeds. */
export async function runProgram(
  program: string,
  { args = [], cwd = ".", node = process.execPath }: { args?: string[]; cwd?: string; node?: string },
): Promise<void> {
  const child = spawn(node, [join(folder, program), ...args], {
    cwd: join(folder, cwd),
    // A test runner is not to think that it runs within node:test.
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], NODE_ENV: "test", CI: "true", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 100_000,
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text) => {
      said += text;
    });
  }
  const [status, signal] = await once(child, "close");
  if (status !== 0) throw new Error(`${program} ended with ${signal ?? status}\n${said}`);
}
