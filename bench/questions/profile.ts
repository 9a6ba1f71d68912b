import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Question } from "../lib/question.ts";
import { digits, type Table } from "../lib/table.ts";

/** What is profiled: the hot paths. */
const CASES = [
  { name: "untouched", contender: "sojourn-memory", path: "/none", cookie: "cookie" },
  { name: "read", contender: "sojourn-memory", path: "/read", cookie: "cookie" },
  { name: "write", contender: "sojourn-memory", path: "/write", cookie: "cookie" },
  { name: "login", contender: "sojourn-memory", path: "/login", cookie: "none" },
  { name: "read", contender: "sojourn-sqlite", path: "/read", cookie: "cookie" },
  { name: "read", contender: "sojourn-sealed", path: "/read", cookie: "cookie" },
  { name: "write", contender: "sojourn-sealed", path: "/write", cookie: "cookie" },
] as const;
/** Places that take less of all cases are one line. */
const LEAST_MICROSECONDS = 0.15;

interface Profile {
  requests: number;
  /** Microseconds by file. */
  places: [string, number][];
}

export const question: Question = {
  title: "Where a request's time goes, by file",
  async ask({ quick, progress }) {
    const columns: { head: string; costs: Map<string, number> }[] = [];
    for (const { name, contender, path, cookie } of CASES) {
      progress(`profile: ${contender}, ${name}`);
      const { requests, places } = await profileOf([contender, path, cookie, quick ? "0.1" : "3"]);
      columns.push({
        head: `${contender.replace("sojourn-", "")}: ${name}`,
        costs: new Map(places.map(([place, microseconds]) => [place, microseconds / requests])),
      });
    }
    return {
      tables: [tableOf(columns)],
      verdicts: [],
      plots: {},
      data: columns.map(({ head, costs }) => [head, [...costs]]),
    };
  },
};

async function profileOf(args: readonly string[]): Promise<Profile> {
  const child = fork(join(import.meta.dirname, "../lib/profile-process.ts"), args, {
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  const [profile]: [Profile] = (await once(child, "message")) as [Profile];
  child.kill();
  return profile;
}

function tableOf(columns: readonly { head: string; costs: ReadonlyMap<string, number> }[]): Table {
  const most = new Map<string, number>();
  for (const { costs } of columns)
    for (const [place, cost] of costs) most.set(place, Math.max(cost, most.get(place) ?? 0));
  const isOurs = (place: string) => place.includes("/");
  const shown = [...most].filter(([, cost]) => cost >= LEAST_MICROSECONDS).sort((a, b) => b[1] - a[1]);
  const places = [...shown.filter(([place]) => isOurs(place)), ...shown.filter(([place]) => !isOurs(place))];
  const cell = (cost: number | undefined) => (cost === undefined || cost < 0.005 ? "" : digits(cost));
  const rest = columns.map(({ costs }) => {
    let sum = 0;
    for (const [place, cost] of costs) if ((most.get(place) ?? 0) < LEAST_MICROSECONDS) sum += cost;
    return sum;
  });
  const ours = columns.map(({ costs }) =>
    [...costs].reduce((sum, [place, cost]) => (isOurs(place) ? sum + cost : sum), 0),
  );
  return {
    title: "Microseconds of a request, by the file of src/ that takes them, with what it calls of Node",
    head: ["", ...columns.map(({ head }) => head)],
    rows: [
      ...places.map(([place]) => [place, ...columns.map(({ costs }) => cell(costs.get(place)))]),
      ["smaller ones", ...rest.map(cell)],
      ["all of src/", ...ours.map(cell)],
    ],
    notes: ["A sampling profiler slows what it looks at: compare lines, not with other tables."],
  };
}
