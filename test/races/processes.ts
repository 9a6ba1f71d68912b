import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "../support/client.ts";
import type { Cleanup } from "../support/express-site.ts";

/** A folder of its own, gone after the test. */
export function temporaryFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-races-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Real processes that serve one SQLite file, and a client of each. @param program the one that each runs, with the file and `args` */
export async function startProcesses(
  t: Cleanup,
  count: number,
  program = join(import.meta.dirname, "site-process.ts"),
  ...args: readonly string[]
): Promise<Client[]> {
  const file = join(temporaryFolder(t), "sessions.db");
  return Promise.all(Array.from({ length: count }, () => startProcess(t, program, [file, ...args])));
}

async function startProcess(t: Cleanup, program: string, args: readonly string[]): Promise<Client> {
  const child: ChildProcess = fork(program, args, {
    execArgv: ["--conditions=sojourn-source", "--disable-warning=ExperimentalWarning"],
    env: { PATH: process.env["PATH"], NODE_ENV: "test" },
  });
  const ended = once(child, "exit");
  const port = await Promise.race([once(child, "message").then(([said]) => Number(said)), ended.then(() => undefined)]);
  if (port === undefined) throw new Error("the process ended before it served");
  const client = new Client(port);
  t.after(async () => {
    client.close();
    child.kill("SIGKILL");
    await ended;
  });
  return client;
}
