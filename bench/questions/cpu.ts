import { type Case, type CpuBudget, judge, judgeByLimit, measureCpu } from "../lib/cpu.ts";
import { MOST_AT_ONCE } from "../lib/messages.ts";
import { dots } from "../lib/plot.ts";
import type { Question } from "../lib/question.ts";

const BYTES = 200;
/** Each kind of request, with a small session. */
export const KINDS = [
  { name: "anonymous", path: "/none", cookie: false },
  { name: "untouched", path: "/none", cookie: true },
  { name: "read", path: "/read", cookie: true },
  { name: "write", path: "/write", cookie: true },
  { name: "login", path: "/login", cookie: false },
  { name: "login and write", path: "/enter", cookie: false },
].map((kind) => ({ ...kind, bytes: BYTES }));

/** On the page for users: what they would choose from. */
const SHOWN = [
  "sojourn-memory",
  "sojourn-sqlite",
  "sojourn-sealed",
  "sojourn-express-session",
  "express-session-memory",
  "cookie-session",
  "iron-session",
  "fastify-session",
];

/** A busy server, which meets several requests in a turn of the event loop. */
const CASES: Case[] = KINDS.map((kind) => ({ ...kind, atOnce: MOST_AT_ONCE }));
/** A quiet one, where whatever puts itself off to another turn pays for that turn alone. */
const alone = (name: string) => `${name}, alone`;
const ALONE: Case[] = KINDS.map((kind) => ({ ...kind, name: alone(kind.name), atOnce: 1 }));

const AGAINST_MEMORY = [
  { case: "anonymous", atMost: 1 / 15 },
  { case: "untouched", atMost: 1 / 15 },
  { case: "read", atMost: 1 / 8 },
  { case: "write", atMost: 1 / 4 },
  { case: "login", atMost: 1 / 5 },
].map((budget) => ({ ours: "sojourn-memory", against: "express-session-memory", ...budget }));
const dropIn = (budget: Pick<CpuBudget, "case" | "atMost">): CpuBudget => ({
  ours: "sojourn-express-session",
  against: "express-session-memory",
  ...budget,
});
const BUDGETS: CpuBudget[] = [
  ...AGAINST_MEMORY,
  ...AGAINST_MEMORY.map((budget) => ({ ...budget, case: alone(budget.case) })),
  { ours: "sojourn-memory", against: "fastify-session", case: "login and write", atMost: 1 },
  { ours: "sojourn-sqlite", against: "express-session-memory", case: "read", atMost: 1 / 2 },
  { ours: "sojourn-sealed", against: "cookie-session", case: "write", atMost: 0.6 },
  { ours: "sojourn-sealed", against: "cookie-session", case: "login", atMost: 0.8 },
  ...["untouched", "read"].map((name) => ({ case: name, atMost: 0.5 })).map(dropIn),
  ...["anonymous", "write", "login"].map((name) => ({ case: name, atMost: 0.6 })).map(dropIn),
  { ours: "sojourn-cookie-session", against: "cookie-session", case: "login", atMost: 1 },
  ...["read", "write"].flatMap((name) =>
    [
      { against: "iron-session", atMost: 1 / 15 },
      { against: "cookie-session", atMost: 1 / 4 },
      { against: "fastify-secure-session", atMost: 2 },
    ].map((budget) => ({ ours: "sojourn-sealed", case: name, ...budget })),
  ),
];

export const question: Question = {
  title: "CPU added to one request, in process",
  async ask(options) {
    const costs = await measureCpu([...CASES, ...ALONE], options);
    return {
      tables: [
        costs.table(
          `CPU added to a request over the bare framework (bare ones: their own); a session of ${BYTES} B`,
          CASES,
          costs.notes(),
        ),
        costs.spreads(CASES),
        costs.table("The same, one request at a time", ALONE),
        costs.spreads(ALONE),
      ],
      summary: costs.table("Microseconds of CPU that a session adds to a request", CASES, [], SHOWN),
      verdicts: [...judge(costs, BUDGETS), ...judgeByLimit(costs, CASES), ...costs.judgeBefore()],
      plots: {
        "bench-cpu.svg": dots({
          title: `CPU added to one request over the bare framework, session of ${BYTES} bytes`,
          axis: "microseconds (logarithmic); the bar is half of the rounds",
          least: 0.1,
          panels: CASES.map(({ name }) => name),
          rows: costs.drawn.map(({ file, about }) => ({
            name: about.name,
            kind: about.kind,
            points: CASES.map(({ name }) => costs.point(file, name)),
          })),
        }),
      },
      data: costs.data,
    };
  },
};
