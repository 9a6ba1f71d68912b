import { beforeOf, isBefore, judgeBefore } from "./before.ts";
import type { Verdict } from "./budget.ts";
import { contenderFiles, type Member, withFleet } from "./fleet.ts";
import type { Described, Work } from "./messages.ts";
import type { Point } from "./plot.ts";
import type { AskOptions } from "./question.ts";
import { inTurn, pairwise, type Spread, spread } from "./statistics.ts";
import { digits, type Table } from "./table.ts";

/**
 * What a request costs in CPU more than the same request to the framework alone. In process: Node's own request and response objects, without
 * sockets (`connection.ts`). Each contender has a process; batches alternate, and the framework's cost of a round is taken from the
 * contender's of the same round.
 */
export interface Case extends Pick<Work, "path" | "cookie" | "bytes" | "properties" | "atOnce"> {
  name: string;
}

/** Long enough for a young collection to fall into each batch of whoever makes garbage, short enough for a round to meet one mood of the machine. */
const BATCH_MS = 25;
/** Processes of each contender, one after another: two compile the same code differently. */
const PROCESSES = 3;
/** In each process. */
const ROUNDS = 3;
/** Batches of each contender in a round, of which the least counts: what else runs on the machine only ever adds. */
const PASSES = 2;
/** For one application. V8 compiles during some 30,000 requests, and starts anew at a new case, so the cases take turns. */
const WARM_UP_MS = 3_600;
const WARM_UP_PASSES = 8;
/** Before a case is timed. */
const READY_MS = 50;
/** How many warm up at once. */
const WARMING = 2;

interface Effort extends Pick<Work, "warmUpMs" | "batchMs"> {
  processes: number;
  rounds: number;
  passes: number;
}
const FULL: Effort = { warmUpMs: READY_MS, batchMs: BATCH_MS, processes: PROCESSES, rounds: ROUNDS, passes: PASSES };
const QUICK: Effort = { warmUpMs: 0, batchMs: 1, processes: 1, rounds: 2, passes: 1 };

/** Microseconds of CPU a request, round by round, by contender. */
type Rounds = Map<string, number[]>;

/** Runs these cases one after another, on all contenders or those asked for; those with sessions of another size in other processes. */
export async function measureCpu(cases: readonly Case[], options: AskOptions): Promise<CpuCosts> {
  const costs = new CpuCosts();
  const sizes = [...new Set(cases.map(({ bytes }) => bytes))];
  // To see that everything runs, one process will do.
  const groups = options.quick ? [cases] : sizes.map((size) => cases.filter(({ bytes }) => bytes === size));
  const { processes = options.quick ? QUICK.processes : FULL.processes } = options;
  for (let process = 1; process <= processes; process++) {
    for (const group of groups) {
      const names = group.map(({ name }) => name).join("; ");
      options.progress(`CPU, processes ${process} of ${processes} of each contender: ${names}`);
      await measureApplication(group, costs, options);
    }
  }
  return costs;
}

/** One application of each contender for all cases, as on a server. */
async function measureApplication(cases: readonly Case[], costs: CpuCosts, options: AskOptions): Promise<void> {
  const { quick, contenders = contenderFiles } = options;
  const bare = contenderFiles.filter((file) => file.startsWith("bare-"));
  await withFleet([...new Set([...bare, ...contenders])], async (started) => {
    // Servers' work would not be seen.
    const members = started.filter(({ about }) => about.server === undefined);
    costs.meet(members);
    const running = members.filter(({ about }) => about.missing === undefined);
    if (!quick) await warmUp(cases, running);
    for (const current of cases) await measure(current, running, costs, quick ? QUICK : FULL);
    for (const member of running) await member.close();
  });
}

async function warmUp(cases: readonly Case[], members: readonly Member[]): Promise<void> {
  const waiting = [...members];
  const warmUpMs = WARM_UP_MS / WARM_UP_PASSES / cases.length;
  const next = async () => {
    for (let member = waiting.shift(); member !== undefined; member = waiting.shift()) {
      for (let pass = 0; pass < WARM_UP_PASSES; pass++) {
        for (const current of cases) await member.prepare({ ...current, warmUpMs, batchMs: BATCH_MS });
      }
    }
  };
  await Promise.all(Array.from({ length: WARMING }, next));
}

async function measure(current: Case, members: readonly Member[], costs: CpuCosts, effort: Effort): Promise<void> {
  const ready: { member: Member; requests: number; rounds: number[] }[] = [];
  for (const member of members) {
    const { warmUpMs, batchMs } = effort;
    const prepared = await member.prepare({ ...current, warmUpMs, batchMs });
    if (prepared.tooLarge !== undefined) costs.refuse(current.name, member.file);
    else ready.push({ member, requests: prepared.requests, rounds: costs.add(current.name, member.file) });
  }
  for (let round = 0; round < effort.rounds; round++) {
    const least = new Map<Member, number>();
    for (let pass = 0; pass < effort.passes; pass++) {
      for (const { member, requests } of inTurn(ready, round * effort.passes + pass)) {
        const batch = await member.batch(requests);
        least.set(
          member,
          Math.min(batch.cpuMicroseconds / batch.requests, least.get(member) ?? Number.POSITIVE_INFINITY),
        );
      }
    }
    for (const { member, rounds } of ready) rounds.push(least.get(member) ?? Number.NaN);
  }
}

/** All that was measured, by case and contender. */
export class CpuCosts {
  /** In the order of the tables. */
  contenders: readonly { file: string; about: Described }[] = [];
  readonly #cases = new Map<string, Rounds>();
  readonly #refused = new Set<string>();

  meet(members: readonly Member[]): void {
    this.contenders = members.map(({ file, about }) => ({ file, about })).sort((a, b) => rank(a.about) - rank(b.about));
  }

  /** Where to put what is measured of them. */
  add(name: string, file: string): number[] {
    const byContender = this.#cases.get(name) ?? new Map<string, number[]>();
    const rounds = byContender.get(file) ?? [];
    this.#cases.set(name, byContender.set(file, rounds));
    return rounds;
  }

  /** The session of this case does not fit into the contender's cookies. */
  refuse(name: string, file: string): void {
    this.#refused.add(`${name} ${file}`);
  }

  /** What a contender adds to its framework; a bare one, what it costs itself. */
  added(file: string, name: string): Spread | undefined {
    const rounds = this.#rounds(file, name);
    return rounds === undefined ? undefined : spread(rounds);
  }

  /** Round by round, one contender's cost as a share of another's. */
  ratio(file: string, other: string, name: string): Spread | undefined {
    const [left, right] = [this.#rounds(file, name), this.#rounds(other, name)];
    return left === undefined || right === undefined ? undefined : spread(pairwise(left, right, (a, b) => a / b));
  }

  /** Each kind of request, whole, against the same one by the version before. */
  judgeBefore(): Verdict[] {
    const pairs = this.contenders.map(({ file }) => file).filter((file) => !isBefore(file));
    return [...this.#cases].flatMap(([name, rounds]) =>
      pairs.flatMap((file) => judgeBefore(`${file}: ${name}`, rounds.get(file), rounds.get(beforeOf(file)))),
    );
  }

  #rounds(file: string, name: string): number[] | undefined {
    const over = this.contenders.find((contender) => contender.file === file)?.about.over;
    const own = this.#cases.get(name)?.get(file);
    const base = over === undefined ? undefined : this.#cases.get(name)?.get(over);
    return own === undefined || base === undefined ? own : pairwise(own, base, (a, b) => a - b);
  }

  /** @param files only these contenders */
  table(title: string, cases: readonly Case[], notes: string[] = [], files?: readonly string[]): Table {
    return this.#table(title, cases, notes, ({ median }) => digits(median), files);
  }

  spreads(cases: readonly Case[]): Table {
    const title = "The same, quartiles of the rounds";
    return this.#table(title, cases, [], ({ low, high }) => `${digits(low)}…${digits(high)}`);
  }

  #table(
    title: string,
    cases: readonly Case[],
    notes: string[],
    format: (cost: Spread) => string,
    files?: readonly string[],
  ): Table {
    const cell = (file: string, name: string) => {
      if (this.#refused.has(`${name} ${file}`)) return "too large";
      const cost = this.added(file, name);
      return cost === undefined ? "–" : format(cost);
    };
    return {
      title,
      head: ["microseconds of CPU", ...cases.map(({ name }) => name)],
      rows: this.contenders
        .filter(({ file }) => files?.includes(file) ?? true)
        .map(({ file, about }) => [about.name, ...cases.map(({ name }) => cell(file, name))]),
      notes,
    };
  }

  /** What a reader has to know of the contenders, and which of them could not run. */
  notes(): string[] {
    return this.contenders.flatMap(({ about: { name, missing, note } }) => {
      if (missing !== undefined) return [`${name}: not measured, ${missing}`];
      return note === undefined ? [] : [`${name}: ${note}`];
    });
  }

  /** The contenders of a plot: the bare ones are its zero. */
  get drawn(): readonly { file: string; about: Described }[] {
    return this.contenders.filter(({ about }) => about.kind !== "bare" && about.missing === undefined);
  }

  point(file: string, name: string): Point | undefined {
    const cost = this.added(file, name);
    return cost === undefined ? undefined : { value: cost.median, low: cost.low, high: cost.high };
  }

  get data(): unknown {
    const cases = [...this.#cases].map(([name, rounds]) => [name, Object.fromEntries(rounds)]);
    return { microseconds: Object.fromEntries(cases), tooLarge: [...this.#refused], contenders: this.contenders };
  }
}

function rank({ kind, over }: Described): number {
  return ["ours", "peer", "limit", "bare"].indexOf(kind) * 2 + (over === "bare-fastify" ? 1 : 0);
}

/** The most of another contender's cost that ours may be. */
export interface CpuBudget {
  ours: string;
  against: string;
  case: string;
  atMost: number;
}

export function judge(costs: CpuCosts, budgets: readonly CpuBudget[]): Verdict[] {
  return budgets.flatMap(({ ours, against, case: name, atMost }) => {
    const ratio = costs.ratio(ours, against, name);
    if (ratio === undefined) return [];
    const budget = Number.isInteger(1 / atMost) && atMost < 1 ? `at most 1/${1 / atMost}` : `at most ${atMost} times`;
    return [{ what: `${ours}: ${name}`, against, ratio, budget, isMet: ratio.median <= atMost }];
  });
}

/** The floor: the sketch that remembers checked tokens, as Sojourn does. */
const LIMIT = "limit-memory-remembering";
const LIMIT_FACTOR = 1.5;

/** Ours in memory against what is possible. */
export function judgeByLimit(costs: CpuCosts, cases: readonly Case[]): Verdict[] {
  const ours = "sojourn-memory";
  return cases.flatMap(({ name }) => {
    const own = costs.added(ours, name);
    const floor = costs.added(LIMIT, name);
    const ratio = costs.ratio(ours, LIMIT, name);
    if (own === undefined || floor === undefined || ratio === undefined) return [];
    const more = own.median - floor.median;
    return [
      {
        what: `${ours}: ${name} (${more < 0 ? "" : "+"}${digits(more)} µs)`,
        against: LIMIT,
        ratio,
        budget: `at most ${LIMIT_FACTOR} times`,
        isMet: ratio.median <= LIMIT_FACTOR,
      },
    ];
  });
}
