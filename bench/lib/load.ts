import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../../test/support/servers/private-process.ts";

/** Load by `wrk`: so many connections, each of which sends its next request when its last is answered. */
const CONNECTIONS = 16;
/** The application alone has the first; what makes load, and a database, share the other. */
export const CORES = { application: 0, rest: 1 };

/** Why there can be no load; `undefined` where there can. */
export function noLoad(): string | undefined {
  if (availableParallelism() < 2) return "it needs two processor cores";
  const absent = ["wrk", "taskset"].filter((name) => findProgram(name) === undefined);
  return absent.length === 0 ? undefined : `it needs the programs ${absent.join(" and ")} (Debian: apt install wrk)`;
}

export interface Load {
  requests: number;
  /** A second. */
  rate: number;
  p50Ms: number;
  p99Ms: number;
}

/** A file for {@link load} that says what cookies clients send. */
export function cookieFile(folder: string, name: string, headers: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(path, headers.map((header) => `${header}\n`).join(""));
  return path;
}

/** @param pipelined how many requests a connection sends at once */
export async function load(url: string, cookies: string, seconds: number, pipelined = 1): Promise<Load> {
  const script = join(import.meta.dirname, "load.lua");
  const wrk = ["wrk", "-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "-s", script, url, "--", cookies, String(pipelined)];
  const { stdout } = await promisify(execFile)("taskset", ["-c", String(CORES.rest), ...wrk]);
  const numbers = /^numbers (.*)$/m.exec(stdout)?.[1]?.split(" ").map(Number);
  const [requests = 0, duration = 0, p50 = 0, p99 = 0, failed = 0] = numbers ?? [];
  if (numbers === undefined || failed > 0 || requests === 0)
    throw new Error(`${url}: ${failed} of ${requests} requests failed\n${stdout}`);
  return { requests, rate: (requests * 1e6) / duration, p50Ms: p50 / 1_000, p99Ms: p99 / 1_000 };
}
