import { type RateBudget, race } from "../lib/end-to-end.ts";
import type { Question } from "../lib/question.ts";

const OURS = "sojourn-memory";
const KINDS = ["untouched", "read", "write", "login"] as const;
const OF_BARE = { untouched: 0.92, read: 0.75, write: 0.68, login: 0.68 };

const budgets: RateBudget[] = [
  ...KINDS.map((kind) => ({ ours: OURS, against: "bare-express", kind, atLeast: OF_BARE[kind] })),
  ...KINDS.map((kind) => ({ ours: OURS, against: "express-session-memory", kind, atLeast: 1.6 })),
];

export const question: Question = {
  title: "Requests a second over loopback, and how long they wait",
  ask: (options) =>
    race(
      {
        title: "End to end",
        contenders: [
          OURS,
          "sojourn-sqlite",
          "sojourn-file",
          "sojourn-sealed",
          "express-session-file",
          "express-session-memory",
          "cookie-session",
          "limit-memory-remembering",
        ],
        kinds: ["anonymous", ...KINDS, "login and write", "read, 8 pipelined"],
        quickKinds: ["read", "login"],
        budgets,
        plot: "bench-end-to-end.svg",
      },
      options,
    ),
};
