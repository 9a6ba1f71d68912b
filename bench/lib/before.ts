import { existsSync } from "node:fs";
import { registerHooks } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Verdict } from "./budget.ts";
import { pairwise, spread } from "./statistics.ts";

/**
 * Runs a contender of ours over the `src` of another checkout, to compare two versions in one run. The application, and all that measures it,
 * stay this checkout's.
 */

/** Ends the name of such a contender. */
const MARK = "@before";
/** The environment variable that names the other checkout to contenders' processes. */
const FOLDER = "SOJOURN_BENCH_BEFORE";
/** The most that a request may cost, as a multiple of what it cost before. */
const AT_MOST = 1.1;

export const beforeOf = (file: string): string => file + MARK;
export const isBefore = (file: string): boolean => file.endsWith(MARK);
/** The name of the file in `contenders/`. */
export const originalOf = (file: string): string => (isBefore(file) ? file.slice(0, -MARK.length) : file);

/** For the processes that are started from now on. */
export function setBefore(checkout: string): void {
  const folder = resolve(checkout);
  for (const needed of ["src/index.ts", "node_modules"]) {
    if (existsSync(join(folder, needed))) continue;
    console.error(`--before: there is no ${needed} in ${folder}; it must be a checkout of Sojourn after \`npm ci\``);
    process.exit(1);
  }
  process.env[FOLDER] = folder;
}

/** The other checkout, if the run was given one. */
export function beforeFolder(): string | undefined {
  return process.env[FOLDER];
}

/** From now on, whatever this process imports of `src/` comes from the other checkout. */
export function useSourceBefore(): void {
  const folder = beforeFolder();
  if (folder === undefined) throw new Error(`${FOLDER} is not set`);
  const source = (root: string) => pathToFileURL(join(root, "src/")).href;
  const [ours, theirs] = [source(join(import.meta.dirname, "../..")), source(folder)];
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      return resolved.url.startsWith(ours) ? { ...resolved, url: theirs + resolved.url.slice(ours.length) } : resolved;
    },
  });
}

/** Nothing where only one of them was measured. */
export function judgeBefore(what: string, now: number[] | undefined, before: number[] | undefined): Verdict[] {
  if (now === undefined || before === undefined) return [];
  const ratio = spread(pairwise(now, before, (a, b) => a / b));
  const budget = `at most ${AT_MOST} times`;
  return [{ what, against: "the version before", ratio, budget, isMet: ratio.median <= AT_MOST }];
}
