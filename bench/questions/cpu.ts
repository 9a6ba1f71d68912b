import type { Verdict } from "../lib/budget.ts";
import { contenderFiles, type Member, withFleet } from "../lib/fleet.ts";
import type { Described, Work } from "../lib/messages.ts";
import { dots, lines } from "../lib/plot.ts";
import type { AskOptions, Findings, Question } from "../lib/question.ts";
import { inTurn, pairwise, type Spread, spread } from "../lib/statistics.ts";
import { digits, type Table } from "../lib/table.ts";

/**
 * What a request costs in CPU more than the same request to the framework alone. In process: Node's own request and response objects, without
 * sockets (`lib/connection.ts`). Each contender has a process; batches alternate, and the framework's cost of a round is taken from the
 * contender's of the same round.
 */
interface Case {
  name: string;
  path: string;
  cookie: boolean;
  bytes: number;
}

const SMALL = 200;
const SIZES = [SMALL, 1_000, 4_000, 64_000];
const label = (bytes: number) => (bytes < 1_000 ? `${bytes} B` : `${bytes / 1_000} kB`);

const KINDS: Case[] = [
  { name: "anonymous", path: "/none", cookie: false, bytes: SMALL },
  { name: "untouched", path: "/none", cookie: true, bytes: SMALL },
  { name: "read", path: "/read", cookie: true, bytes: SMALL },
  { name: "write", path: "/write", cookie: true, bytes: SMALL },
  { name: "login", path: "/login", cookie: false, bytes: SMALL },
];
const LARGER: Case[] = SIZES.slice(1).map((bytes) => ({
  name: `read ${label(bytes)}`,
  path: "/read",
  cookie: true,
  bytes,
}));
const WHOLE: Case[] = SIZES.map((bytes) => ({ name: `whole ${label(bytes)}`, path: "/whole", cookie: true, bytes }));

/** Microseconds of CPU a request, round by round, by case and contender. */
type Rounds = Record<string, Record<string, number[]>>;

export const question: Question = {
  title: "CPU added to one request, in process",
  async ask(options) {
    const files = chosen(options);
    return await withFleet(files, async (members) => {
      const running = members.filter(({ about }) => about.missing === undefined);
      const rounds: Rounds = {};
      const tooLarge: Record<string, Record<string, string>> = {};
      for (const current of [...KINDS, ...LARGER, ...WHOLE]) {
        options.progress(`CPU: ${current.name}`);
        const result = await measure(current, running, options.quick);
        rounds[current.name] = result.samples;
        tooLarge[current.name] = result.tooLarge;
      }
      return report(members, rounds, tooLarge);
    });
  },
};

/** The contenders that were asked for, and what their cost is added to. */
function chosen({ contenders }: AskOptions): string[] {
  const bare = contenderFiles.filter((file) => file.startsWith("bare-"));
  const wanted = contenders ?? contenderFiles;
  return [...new Set([...bare, ...wanted])];
}

async function measure(current: Case, members: readonly Member[], quick: boolean) {
  const work: Work = { ...current, warmUpMs: quick ? 0 : 200, batchMs: quick ? 1 : 20 };
  const tooLarge: Record<string, string> = {};
  const ready: { member: Member; requests: number; costs: number[] }[] = [];
  for (const member of members) {
    const prepared = await member.prepare(work);
    if (prepared.tooLarge !== undefined) tooLarge[member.file] = prepared.tooLarge;
    else ready.push({ member, requests: prepared.requests, costs: [] });
  }
  for (let round = 0; round < (quick ? 2 : 11); round++) {
    for (const { member, requests, costs } of inTurn(ready, round)) {
      const batch = await member.batch(requests);
      costs.push(batch.cpuMicroseconds / batch.requests);
    }
  }
  for (const { member } of ready) await member.close();
  return { samples: Object.fromEntries(ready.map(({ member, costs }) => [member.file, costs])), tooLarge };
}

/** What a contender adds to its framework; a bare one, what it costs itself. */
class Costs {
  readonly #rounds: Rounds;
  readonly #over = new Map<string, string | undefined>();

  constructor(rounds: Rounds, members: readonly Member[]) {
    this.#rounds = rounds;
    for (const { file, about } of members) this.#over.set(file, about.over);
  }

  rounds(file: string, name: string): number[] | undefined {
    const own = this.#rounds[name]?.[file];
    const over = this.#over.get(file);
    const base = over === undefined ? undefined : this.#rounds[name]?.[over];
    return own === undefined || base === undefined ? own : pairwise(own, base, (a, b) => a - b);
  }

  of(file: string, name: string): Spread | undefined {
    const rounds = this.rounds(file, name);
    return rounds === undefined ? undefined : spread(rounds);
  }

  /** Round by round, one contender's cost as a share of another's. */
  ratio(file: string, other: string, name: string): Spread | undefined {
    const [left, right] = [this.rounds(file, name), this.rounds(other, name)];
    return left === undefined || right === undefined ? undefined : spread(pairwise(left, right, (a, b) => a / b));
  }
}

function report(
  members: readonly Member[],
  rounds: Rounds,
  tooLarge: Record<string, Record<string, string>>,
): Findings {
  const costs = new Costs(rounds, members);
  const verdicts = judge(costs);
  const shown = [...members].sort((a, b) => rank(a.about) - rank(b.about));
  const cell = (file: string, name: string) => {
    if (tooLarge[name]?.[file] !== undefined) return "too large";
    const cost = costs.of(file, name);
    return cost === undefined ? "–" : digits(cost.median);
  };
  const table = (title: string, cases: readonly Case[], notes: string[]): Table => ({
    title,
    head: ["microseconds of CPU", ...cases.map(({ name }) => name)],
    rows: shown.map(({ file, about }) => [about.name, ...cases.map(({ name }) => cell(file, name))]),
    notes,
  });
  const spreads = (cases: readonly Case[]): Table => ({
    title: "Spread: quartiles of the rounds",
    head: ["microseconds of CPU", ...cases.map(({ name }) => name)],
    rows: shown.map(({ file, about }) => [
      about.name,
      ...cases.map(({ name }) => {
        const cost = costs.of(file, name);
        return cost === undefined ? "–" : `${digits(cost.low)}…${digits(cost.high)}`;
      }),
    ]),
  });
  const notes = shown.flatMap(({ about }) => {
    if (about.missing !== undefined) return [`${about.name}: not measured, ${about.missing}`];
    return about.note === undefined ? [] : [`${about.name}: ${about.note}`];
  });
  return {
    tables: [
      table(
        "CPU added to a request over the bare framework (bare ones: their own cost); session of 200 B",
        KINDS,
        notes,
      ),
      table(
        "Read of one small property, by the size of the session",
        [...KINDS.filter(({ name }) => name === "read"), ...LARGER],
        ["too large: browsers refuse a cookie of more than 4,096 bytes"],
      ),
      table("Read of the whole session; the handler looks at every leaf, which is counted", WHOLE, []),
      spreads(KINDS),
      spreads([...LARGER, ...WHOLE]),
    ],
    verdicts,
    plots: plots(shown, costs),
    data: { rounds, tooLarge, contenders: Object.fromEntries(members.map(({ file, about }) => [file, about])) },
  };
}

function rank({ kind, over }: Described): number {
  return ["ours", "peer", "limit", "bare"].indexOf(kind) * 2 + (over === "bare-fastify" ? 1 : 0);
}

/** The budgets: the most of another contender's cost that ours may be. */
const BUDGETS: { ours: string; against: string; name: string; atMost: number }[] = [
  ...[
    { name: "anonymous", atMost: 1 / 15 },
    { name: "untouched", atMost: 1 / 15 },
    { name: "read", atMost: 1 / 8 },
    { name: "read 1 kB", atMost: 1 / 15 },
    { name: "read 4 kB", atMost: 1 / 30 },
    { name: "read 64 kB", atMost: 1 / 200 },
    ...WHOLE.map(({ name }) => ({ name, atMost: 1 / 4 })),
    { name: "write", atMost: 1 / 4 },
    { name: "login", atMost: 1 / 5 },
  ].map((budget) => ({ ours: "sojourn-memory", against: "express-session-memory", ...budget })),
  { ours: "sojourn-sqlite", against: "express-session-memory", name: "read", atMost: 1 / 2 },
  ...["read", "write"].flatMap((name) =>
    [
      { against: "iron-session", atMost: 1 / 15 },
      { against: "cookie-session", atMost: 1 / 4 },
      { against: "fastify-secure-session", atMost: 2 },
    ].map((budget) => ({ ours: "sojourn-sealed", name, ...budget })),
  ),
];
const LIMITS = ["limit-memory", "limit-memory-split"];
/** Of the cheaper sketch: so many times its cost, or so many microseconds more. */
const LIMIT_FACTOR = 1.5;
const LIMIT_MICROSECONDS = 1;

function judge(costs: Costs): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const { ours, against, name, atMost } of BUDGETS) {
    const ratio = costs.ratio(ours, against, name);
    if (ratio === undefined) continue;
    const budget = atMost < 1 ? `at most 1/${Math.round(1 / atMost)}` : `at most ${atMost} times`;
    verdicts.push({ what: `${ours}: ${name}`, against, ratio, budget, isMet: ratio.median <= atMost });
  }
  const ours = "sojourn-memory";
  for (const { name } of [...KINDS, ...LARGER, ...WHOLE]) {
    const own = costs.of(ours, name);
    const [cheapest] = LIMITS.flatMap((file) => {
      const cost = costs.of(file, name);
      return cost === undefined ? [] : [{ file, cost: cost.median }];
    }).sort((a, b) => a.cost - b.cost);
    const ratio = cheapest === undefined ? undefined : costs.ratio(ours, cheapest.file, name);
    if (own === undefined || cheapest === undefined || ratio === undefined) continue;
    const more = own.median - cheapest.cost;
    verdicts.push({
      what: `${ours}: ${name} (${more < 0 ? "" : "+"}${digits(more)} µs)`,
      against: cheapest.file,
      ratio,
      budget: `at most ${LIMIT_FACTOR} times or +${LIMIT_MICROSECONDS} µs`,
      isMet: own.median <= Math.max(LIMIT_FACTOR * cheapest.cost, cheapest.cost + LIMIT_MICROSECONDS),
    });
  }
  return verdicts;
}

function plots(members: readonly Member[], costs: Costs): Record<string, string> {
  const drawn = members.filter(({ about }) => about.kind !== "bare" && about.missing === undefined);
  const axis = "microseconds of CPU added to a request (logarithmic)";
  const least = 0.1;
  const point = (file: string, name: string) => {
    const cost = costs.of(file, name);
    return cost === undefined ? undefined : { value: cost.median, low: cost.low, high: cost.high };
  };
  return {
    "bench-cpu.svg": dots({
      title: "CPU added to one request over the bare framework, session of 200 bytes",
      axis,
      least,
      panels: KINDS.map(({ name }) => name),
      rows: drawn.map(({ file, about }) => ({
        name: about.name,
        kind: about.kind,
        points: KINDS.map(({ name }) => point(file, name)),
      })),
    }),
    "bench-cpu-size.svg": lines({
      title: "CPU added to a read of one small property, by the size of the session",
      x: "bytes in the session (logarithmic)",
      y: axis,
      least,
      series: drawn.map(({ file, about }) => ({
        name: about.name,
        kind: about.kind,
        points: SIZES.flatMap((bytes) => {
          const found = point(file, bytes === SMALL ? "read" : `read ${label(bytes)}`);
          return found === undefined ? [] : [{ x: bytes, y: found.value }];
        }),
      })),
    }),
  };
}
