import { race } from "../lib/end-to-end.ts";
import type { Question } from "../lib/question.ts";

export const question: Question = {
  title: "The same with sessions in a server, which shares the load's core",
  ask: (options) =>
    race(
      {
        title: "End to end, sessions in a server",
        contenders: [
          "sojourn-redis",
          "express-session-redis",
          "sojourn-postgres",
          "express-session-postgres",
          "sojourn-mysql",
        ],
        kinds: ["untouched", "read", "write", "login", "login and write"],
        quickKinds: ["read"],
        budgets: [
          { ours: "sojourn-redis", against: "express-session-redis", kind: "read", atLeast: 1.6 },
          { ours: "sojourn-postgres", against: "express-session-postgres", kind: "read", atLeast: 1.8 },
          ...(["write", "login", "login and write"] as const).flatMap((kind) => [
            { ours: "sojourn-redis", against: "express-session-redis", kind, atLeast: 1.2 },
            { ours: "sojourn-postgres", against: "express-session-postgres", kind, atLeast: 1.2 },
          ]),
        ],
        plot: "bench-end-to-end-servers.svg",
      },
      options,
    ),
};
