import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createEmptyApp } from "../../scripts/empty-app.ts";
import { root } from "../../scripts/package.ts";
import { beforeFolder, judgeBefore } from "../lib/before.ts";
import type { Verdict } from "../lib/budget.ts";
import { closureOf, copyPackages, type Installed, installPacked, sizeOf } from "../lib/installed.ts";
import type { Question } from "../lib/question.ts";
import { type Started, type StartProgram, startPrograms } from "../lib/start-programs.ts";
import { inTurn, pairwise, spread } from "../lib/statistics.ts";
import { digits, type Table } from "../lib/table.ts";

/**
 * Measures what a library costs a process before the first request, what the first request costs, and the installed size. Sojourn is measured as the packed package.
 */
const PACKAGES = ["sojourn", "express-session", "cookie-session"];
const BOTH = ["import", "require"] as const;
const ROUNDS = 25;
const MB = 1_000_000;
const KB = 1_000;
const LARGEST_KB = 700;

type Runs = ReadonlyMap<StartProgram, Started[]>;

type Columns = readonly (readonly [head: string, of: (run: Started) => number])[];

const MADE: Columns = [
  ["time, ms", (run) => run.ms],
  ["processor time, ms", (run) => run.cpuMs],
  ["RSS, MB", (run) => run.rss / MB],
  ["heap, MB", (run) => run.heap / MB],
];
const SERVING: Columns = [
  ["until it serves, processor time, ms", (run) => run.servingCpuMs],
  ["first request, ms", (run) => run.firstMs],
  ["first login, ms", (run) => run.loginMs],
];

/** The most that Sojourn may take, as a multiple of express-session. Processor time, because other processes only add to wall time. */
const BUDGETS: readonly [what: string, of: (run: Started) => number, most: number][] = [
  ["processor time until it is made", (run) => run.cpuMs, 1.2],
  ["RSS", (run) => run.rss, 1.2],
  ["heap", (run) => run.heap, 1.2],
  ["the first request", (run) => run.firstMs, 1],
  ["the first login", (run) => run.loginMs, 1],
];

export const question: Question = {
  title: "Start-up time and memory, the first login, and installed size",
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
      // In a folder of their own, because both sides have packages of the same names.
      const peers = join(root, "bench/node_modules");
      for (const name of ["fastify", "@fastify/cookie", "@fastify/session"])
        copyPackages(closureOf(peers, name), peers, join(app.folder, "fastify/node_modules"));
      const before = beforeFolder();
      if (before !== undefined) installPacked(before, join(app.folder, "before"));
      const runs = start(app.folder, quick ? 2 : ROUNDS, progress);
      const ownKb = (installed[0]?.[1].bytes ?? Number.NaN) / KB;
      return {
        tables: [
          tableOf("Start-up: until the middleware is made", MADE, runs, [
            "Each run is a process of its own, and its start is not counted. No framework is loaded but Fastify, before the clock starts.",
          ]),
          tableOf("Start-up: until the first visitor is logged in", SERVING, runs, [
            "It serves when node:http listens and has answered five requests that see no middleware.",
            "What a library does beforehand for its first visitor counts there.",
            "Requests are timed in the server: from their arrival until the response is written.",
          ]),
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
                (bytes / KB).toFixed(0),
                (sizeOf(nodeModules, more).bytes / KB).toFixed(0),
              ];
            }),
            notes: ["sojourn: with all stores and types; clients of database servers come on top, of every library."],
          },
        ],
        summary: summaryOf(runs),
        verdicts: quick ? [] : [...BOTH.flatMap((how) => judge(runs, how)), judgeSize(ownKb)],
        plots: {},
        data: {
          started: [...runs].map(([{ name, how }, measured]) => ({ name, how, measured })),
          installed: Object.fromEntries(installed),
        },
      };
    } finally {
      app.remove();
    }
  },
};

function tableOf(title: string, columns: Columns, runs: Runs, notes: string[]): Table {
  return {
    title,
    head: ["", "by", ...columns.flatMap(([head]) => [head, "quartiles"])],
    rows: [...runs].map(([{ name, how }, measured]) => [
      name,
      how,
      ...columns.flatMap(([, of]) => {
        const { median, low, high } = spread(measured.map(of));
        return [digits(median), `${digits(low)}…${digits(high)}`];
      }),
    ]),
    notes,
  };
}

/** By `require`, which costs everybody a little less. */
function summaryOf(runs: Runs): Table {
  const columns = [...MADE.slice(1), ...SERVING.slice(1)];
  return {
    title: "Until the middleware is made, and the first visitor (median)",
    head: ["", ...columns.map(([head]) => head)],
    rows: [...runs]
      .filter(([{ how }]) => how === "require")
      .map(([{ name }, measured]) => [name, ...columns.map(([, of]) => digits(spread(measured.map(of)).median))]),
  };
}

/** Every program, in turn. */
function start(folder: string, rounds: number, progress: (text: string) => void): Runs {
  const asked = startPrograms(beforeFolder() !== undefined);
  const programs = asked.map((program, i) => {
    const place = program.folder === "middleware" ? folder : join(folder, program.folder);
    const file = join(place, "start", `${i}.${program.how === "import" ? "mjs" : "cjs"}`);
    mkdirSync(join(place, "start"), { recursive: true });
    writeFileSync(file, program.text);
    return { program, file };
  });
  progress("Start-up: measuring");
  const runs = new Map(asked.map((program) => [program, [] as Started[]]));
  // The first round only fills the system's caches.
  for (let round = -1; round < rounds; round++)
    for (const { program, file } of inTurn(programs, round + 1)) {
      const output = execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", file], {
        cwd: folder,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      });
      if (round >= 0) runs.get(program)?.push(JSON.parse(output));
    }
  return runs;
}

function judge(runs: Runs, how: StartProgram["how"]): Verdict[] {
  const of = (wanted: string) =>
    [...runs].find(([program]) => program.name === wanted && program.how === how)?.[1] ?? [];
  const before = of("sojourn, before");
  return BUDGETS.flatMap(([cost, value, most]) => {
    const what = `sojourn by ${how}: ${cost}`;
    const own = of("sojourn").map(value);
    const ratio = spread(pairwise(own, of("express-session").map(value), (a, b) => a / b));
    return [
      { what, against: "express-session", ratio, budget: `at most ${most}`, isMet: ratio.median <= most },
      ...(before.length === 0 ? [] : judgeBefore(what, own, before.map(value))),
    ];
  });
}

function judgeSize(kb: number): Verdict {
  const ratio = kb / LARGEST_KB;
  return {
    what: "sojourn: installed size",
    against: `${LARGEST_KB} kB`,
    ratio: { median: ratio, low: ratio, high: ratio },
    budget: "at most 1",
    isMet: ratio <= 1,
  };
}
