import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const folder = import.meta.dirname;

/** Runs another library's program in an application's folder. Throws with all that it said unless it succeeds. */
export async function runProgram(application: string, program: string, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [join(folder, "node_modules", program), ...args], {
    cwd: join(folder, "apps", application),
    // Neither of them is to think that it runs within node:test.
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
  return said;
}
