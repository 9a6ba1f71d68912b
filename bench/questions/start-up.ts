import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createEmptyApp } from "../../scripts/empty-app.ts";
import { root } from "../../scripts/package.ts";
import { closureOf, copyPackages, type Installed, sizeOf } from "../lib/installed.ts";
import type { Question } from "../lib/question.ts";
import { inTurn, pairwise, spread } from "../lib/statistics.ts";
import { digits } from "../lib/table.ts";

/** How long a process takes until its session middleware is made, and how much is installed for that: of ours, the packed package. */
const SECRET = JSON.stringify("a secret of the benchmark, 32 bytes and more");
const EMPTY = "Node alone";
const PROGRAMS: Record<string, string> = {
  [EMPTY]: "",
  "sojourn, memory": `
    import { session } from "sojourn";
    import { MemoryStore } from "sojourn/memory";
    session({ secret: ${SECRET}, store: new MemoryStore() });`,
  "sojourn, SQLite": `
    import { session } from "sojourn";
    import { SqliteStore } from "sojourn/sqlite";
    session({ secret: ${SECRET}, store: new SqliteStore(":memory:") });`,
  "sojourn, sealed": `
    import { session } from "sojourn";
    import { SealedStore } from "sojourn/sealed";
    session({ secret: ${SECRET}, store: new SealedStore() });`,
  "express-session": `
    import session from "express-session";
    session({ secret: ${SECRET}, resave: false, saveUninitialized: false });`,
  "cookie-session": `
    import session from "cookie-session";
    session({ keys: [${SECRET}] });`,
};
const PACKAGES = ["sojourn", "express-session", "cookie-session"];
const ROUNDS = 25;

interface Started {
  /** Since the process began. */
  ms: number;
  cpuMs: number;
}
const LAST_LINES = `
    const { user, system } = process.cpuUsage();
    console.log(JSON.stringify({ ms: performance.now(), cpuMs: (user + system) / 1000 }));
    process.exit();`;

export const question: Question = {
  title: "Start-up time, and installed size",
  async ask({ quick, progress }) {
    progress("Start-up: packing and installing");
    const app = createEmptyApp();
    try {
      const [repository, nodeModules] = [join(root, "node_modules"), join(app.folder, "node_modules")];
      const ofExpress = new Set(closureOf(repository, "express"));
      const installed = PACKAGES.map((name): [string, Installed] => {
        if (name !== "sojourn") copyPackages(closureOf(repository, name), repository, nodeModules);
        return [name, sizeOf(nodeModules, closureOf(nodeModules, name))];
      });
      const started = start(app.folder, quick ? 2 : ROUNDS, progress);
      const empty = started[EMPTY] ?? [];
      return {
        tables: [
          {
            title: "Start-up: until the middleware is made, more than Node alone",
            head: ["milliseconds", "time", "quartiles", "processor time", "quartiles"],
            rows: Object.entries(started).map(([name, runs]) => [
              name,
              ...(["ms", "cpuMs"] as const).flatMap((what) => {
                const own = runs.map((run) => run[what]);
                const added =
                  name === EMPTY
                    ? own
                    : pairwise(
                        own,
                        empty.map((run) => run[what]),
                        (a, b) => a - b,
                      );
                const { median, low, high } = spread(added);
                return [digits(median), `${digits(low)}…${digits(high)}`];
              }),
            ]),
            notes: ["Each with a process of its own; Express, which all of them need, is not loaded."],
          },
          {
            title: "Installed size",
            head: ["", "packages", "not in Express 5 already", "files", "kB", "kB not in Express 5 already"],
            rows: installed.map(([name, { packages, files, bytes }]) => {
              const more = packages.filter((folder) => !ofExpress.has(folder));
              return [
                name,
                String(packages.length),
                String(more.length),
                String(files),
                (bytes / 1_000).toFixed(0),
                (sizeOf(nodeModules, more).bytes / 1_000).toFixed(0),
              ];
            }),
            notes: [
              "sojourn: with all stores, types and documentation; clients of database servers come on top, of every library.",
            ],
          },
        ],
        verdicts: [],
        plots: {},
        data: { started, installed: Object.fromEntries(installed) },
      };
    } finally {
      app.remove();
    }
  },
};

/** Every program, in turn. */
function start(folder: string, rounds: number, progress: (text: string) => void): Record<string, Started[]> {
  const programs = Object.entries(PROGRAMS).map(([name, text], i) => {
    const file = join(folder, "start", `${i}.mjs`);
    mkdirSync(join(folder, "start"), { recursive: true });
    writeFileSync(file, text + LAST_LINES);
    return { name, file };
  });
  progress("Start-up: measuring");
  const runs: Record<string, Started[]> = Object.fromEntries(programs.map(({ name }) => [name, []]));
  // The first round only fills the system's caches.
  for (let round = -1; round < rounds; round++)
    for (const { name, file } of inTurn(programs, round + 1)) {
      const output = execFileSync(process.execPath, [file], {
        cwd: folder,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      if (round >= 0) runs[name]?.push(JSON.parse(output));
    }
  return runs;
}
