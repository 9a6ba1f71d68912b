import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";

const bench = join(import.meta.dirname, "..");

/** Installs what only the benchmarks need, the first time and when the lock has changed since. */
export function installPeers(): void {
  const installed = join(bench, "node_modules/.package-lock.json");
  const lock = join(bench, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  console.log("Installing the peers that only the benchmarks need (npm ci --prefix bench) …");
  const { status, error } = spawnSync("npm", ["ci", "--prefix", bench, "--no-audit", "--no-fund"], {
    stdio: "inherit",
  });
  if (status !== 0) throw new Error("the peers could not be installed", { cause: error });
}
