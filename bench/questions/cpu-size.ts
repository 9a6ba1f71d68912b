import { type Case, type CpuBudget, judge, judgeByLimit, measureCpu } from "../lib/cpu.ts";
import { MOST_AT_ONCE } from "../lib/messages.ts";
import { lines } from "../lib/plot.ts";
import type { Question } from "../lib/question.ts";

/** Reads, by the size of the session. */
const SIZES = [200, 1_000, 4_000, 64_000];
const nameOf = (route: string, bytes: number) => `${route} ${bytes < 1_000 ? `${bytes} B` : `${bytes / 1_000} kB`}`;
const casesOf = (route: string): Case[] =>
  SIZES.map((bytes) => ({ name: nameOf(route, bytes), path: `/${route}`, cookie: true, bytes, atOnce: MOST_AT_ONCE }));

const ONE = casesOf("read");
const WHOLE = casesOf("whole");

const BUDGETS: CpuBudget[] = [
  { case: "read 200 B", atMost: 1 / 8 },
  { case: "read 1 kB", atMost: 1 / 15 },
  { case: "read 4 kB", atMost: 1 / 30 },
  { case: "read 64 kB", atMost: 1 / 200 },
  ...WHOLE.map(({ name }) => ({ case: name, atMost: 1 / 4 })),
].map((budget) => ({ ours: "sojourn-memory", against: "express-session-memory", ...budget }));

export const question: Question = {
  title: "CPU added to a read, by the size of the session, in process",
  async ask(options) {
    const costs = await measureCpu(options.quick ? ONE.slice(0, 2) : [...ONE, ...WHOLE], options);
    return {
      tables: [
        costs.table("CPU added to a read of one small property, by the size of the session", ONE, [
          "too large: browsers refuse a cookie of more than 4,096 bytes",
        ]),
        costs.spreads(ONE),
        costs.table("CPU added to a read of the whole session; looking at every leaf is counted", WHOLE),
        costs.spreads(WHOLE),
      ],
      verdicts: [...judge(costs, BUDGETS), ...judgeByLimit(costs, [...ONE, ...WHOLE]), ...costs.judgeBefore()],
      plots: {
        "bench-cpu-size.svg": lines({
          title: "CPU added to a read of one small property, by the size of the session",
          x: "bytes in the session (logarithmic)",
          y: "microseconds of CPU added to a request (logarithmic)",
          least: 1,
          series: costs.drawn.map(({ file, about }) => ({
            name: about.name,
            kind: about.kind,
            points: SIZES.flatMap((bytes) => {
              const cost = costs.added(file, nameOf("read", bytes));
              return cost === undefined ? [] : [{ x: bytes, y: cost.median }];
            }),
          })),
        }),
      },
      data: costs.data,
    };
  },
};
