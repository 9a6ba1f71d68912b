import { beforeOf, judgeBefore, originalOf } from "./before.ts";
import type { Verdict } from "./budget.ts";
import { withFleet } from "./fleet.ts";
import { CORES, cookieFile, type Load, load, noLoad } from "./load.ts";
import type { Described } from "./messages.ts";
import { dots } from "./plot.ts";
import type { AskOptions, Findings } from "./question.ts";
import { inTurn, pairwise, type Spread, spread } from "./statistics.ts";
import { digits, type Table } from "./table.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** Requests a second over loopback: the application on one core, the load on another; contenders take turns. */
const KINDS = {
  anonymous: { path: "/none", cookie: false, pipelined: 1 },
  untouched: { path: "/none", cookie: true, pipelined: 1 },
  read: { path: "/read", cookie: true, pipelined: 1 },
  "read, 8 pipelined": { path: "/read", cookie: true, pipelined: 8 },
  write: { path: "/write", cookie: true, pipelined: 1 },
  login: { path: "/login", cookie: false, pipelined: 1 },
  "login and write": { path: "/enter", cookie: false, pipelined: 1 },
};
type Kind = keyof typeof KINDS;

/** What `wrk` can measure at least. */
const ROUND_SECONDS = 1;
/** Processes of each contender, one after another. The speed of one differs from the next's by up to a quarter. */
const PROCESSES = 2;
/** In each process. */
const ROUNDS = 2;
const WARM_UP_ROUNDS = 1;
/** In process, for each contender, all kinds. */
const WARM_UP_MS = 3_500;
const BYTES = 200;
/** So many that no two requests under way write to one session. */
const SESSIONS = 512;
const BARE = "bare-express";

/** The least that a contender has to do in a second, as a share of what another does. */
export interface RateBudget {
  ours: string;
  against: string;
  kind: Kind;
  atLeast: number;
}

export interface Race {
  title: string;
  contenders: readonly string[];
  kinds: readonly Kind[];
  /** In a quick run. */
  quickKinds: readonly Kind[];
  budgets: readonly RateBudget[];
  plot: string;
}

interface Runner {
  file: string;
  about: Described;
  /** Round by round, all kinds. */
  loads: Map<Kind, MeasuredLoad[]>;
}

interface MeasuredLoad extends Load {
  /** Of the application's process, a request. */
  cpuMicroseconds: number;
}

export async function race(about: Race, options: AskOptions): Promise<Findings> {
  const cannot = noLoad();
  if (cannot !== undefined) {
    const table: Table = { title: about.title, head: [""], rows: [], notes: [`Not measured: ${cannot}.`] };
    return { tables: [table], verdicts: [], plots: {}, data: { cannot } };
  }
  const asked = options.contenders?.filter((file) => about.contenders.includes(originalOf(file))) ?? about.contenders;
  if (asked.length === 0) return { tables: [], verdicts: [], plots: {}, data: {} };
  const kinds = options.quick ? about.quickKinds : about.kinds;
  const against = about.budgets.filter(({ ours }) => asked.includes(ours)).map((budget) => budget.against);
  const files = [...new Set([BARE, ...asked, ...against])];
  return new Results(about, kinds, await run(files, kinds, options)).findings();
}

async function run(files: readonly string[], kinds: readonly Kind[], options: AskOptions): Promise<Runner[]> {
  const folder = temporaryFolder();
  const { processes = options.quick ? 1 : PROCESSES } = options;
  const [warmUps, rounds] = options.quick ? [0, 1] : [WARM_UP_ROUNDS, ROUNDS];
  const loadsOf = new Map(files.map((file) => [file, new Map<Kind, MeasuredLoad[]>()]));
  const anonymous = cookieFile(folder.path, "anonymous", ["consent=1"]);
  const whole = async (members: Parameters<Parameters<typeof withFleet>[1]>[0]): Promise<Runner[]> => {
    const runners = members.map((member) => {
      const { file, about } = member;
      return { member, file, about, loads: loadsOf.get(file) ?? new Map(), origin: "", writes: 0 };
    });
    const ready = runners.filter(({ about }) => about.missing === undefined);
    const warmUp = kinds.map((kind) => ({ ...KINDS[kind], ms: options.quick ? 0 : WARM_UP_MS / kinds.length }));
    for (const runner of ready) {
      options.progress(`End to end: ${runner.about.name} starts`);
      const { port } = await runner.member.serve({ bytes: BYTES, sessions: SESSIONS, warmUp });
      runner.member.move(CORES.application);
      runner.origin = `http://127.0.0.1:${port}`;
    }
    for (const kind of kinds) {
      options.progress(`End to end: ${kind}`);
      const { path, cookie, pipelined } = KINDS[kind];
      for (let round = -warmUps; round < rounds; round++) {
        for (const runner of inTurn(ready, round + warmUps)) {
          const loads = runner.loads.get(kind) ?? [];
          const clients = cookie ? cookieFile(folder.path, runner.file, await runner.member.cookies()) : anonymous;
          const before = await runner.member.cpuMicroseconds();
          const result = await load(runner.origin + path, clients, ROUND_SECONDS, pipelined);
          const cpuMicroseconds = ((await runner.member.cpuMicroseconds()) - before) / result.requests;
          if (kind === "write") runner.writes += result.requests;
          runner.loads.set(kind, round < 0 ? loads : [...loads, { ...result, cpuMicroseconds }]);
        }
      }
    }
    for (const { member, writes } of ready) await member.stopServing(writes);
    return runners;
  };
  try {
    for (let last = 1; last < processes; last++) await withFleet(files, whole, CORES.rest);
    return await withFleet(files, whole, CORES.rest);
  } finally {
    folder.remove();
  }
}

class Results {
  readonly #race: Race;
  readonly #kinds: readonly Kind[];
  readonly #runners: readonly Runner[];

  constructor(race: Race, kinds: readonly Kind[], runners: readonly Runner[]) {
    this.#race = race;
    this.#kinds = kinds;
    this.#runners = runners;
  }

  findings(): Findings {
    const { title, plot } = this.#race;
    const notes = this.#runners.flatMap(({ about: { name, missing, note } }) => {
      if (missing !== undefined) return [`${name}: not measured, ${missing}`];
      return note === undefined ? [] : [`${name}: ${note}`];
    });
    const bare = this.#runners.find(({ file }) => file === BARE)?.about.name;
    const bars = (share: Spread) => `${digits(share.median)} (${digits(share.low)}…${digits(share.high)})`;
    return {
      tables: [
        this.#table(`${title}: requests a second`, "requests a second", (loads) => median(loads, "rate").toFixed(0)),
        this.#table(
          `The same, as a share of ${bare}, with the quartiles of the rounds`,
          "share",
          (_loads, file, kind) => {
            const share = this.#ratio(file, BARE, kind);
            return share === undefined ? "–" : bars(share);
          },
        ),
        this.#table(
          "Processor time of the application for one request: what else runs on the machine changes it least",
          "microseconds",
          (loads) => digits(median(loads, "cpuMicroseconds")),
        ),
        this.#table(
          "Time to answer, p50 / p99",
          "milliseconds",
          (loads) => `${digits(median(loads, "p50Ms"))} / ${digits(median(loads, "p99Ms"))}`,
          notes,
        ),
      ],
      summary: this.#table("Requests a second, as a share of bare Express", "share", (_loads, file, kind) => {
        const share = this.#ratio(file, BARE, kind);
        return share === undefined ? "–" : digits(share.median);
      }),
      verdicts: [...this.#race.budgets.flatMap((budget) => this.#judge(budget)), ...this.#judgeBefore()],
      plots: { [plot]: this.#plot(title) },
      data: this.#runners.map(({ file, about, loads }) => ({ file, about, loads: Object.fromEntries(loads) })),
    };
  }

  #table(
    title: string,
    unit: string,
    cell: (loads: MeasuredLoad[], file: string, kind: Kind) => string,
    notes: string[] = [],
  ): Table {
    return {
      title,
      head: [unit, ...this.#kinds],
      rows: this.#runners.map(({ file, about, loads }) => [
        about.name,
        ...this.#kinds.map((kind) => {
          const rounds = loads.get(kind);
          return rounds === undefined ? "–" : cell(rounds, file, kind);
        }),
      ]),
      notes,
    };
  }

  /** Round by round. */
  #ratio(file: string, other: string, kind: Kind): Spread | undefined {
    const rates = (wanted: string) =>
      this.#runners
        .find((runner) => runner.file === wanted)
        ?.loads.get(kind)
        ?.map(({ rate }) => rate);
    const [left, right] = [rates(file), rates(other)];
    return left === undefined || right === undefined ? undefined : spread(pairwise(left, right, (a, b) => a / b));
  }

  #judge({ ours, against, kind, atLeast }: RateBudget): Verdict[] {
    const ratio = this.#ratio(ours, against, kind);
    if (ratio === undefined) return [];
    const budget = atLeast < 1 ? `at least ${atLeast}` : `at least ${atLeast} times`;
    return [{ what: `${ours}: ${kind}`, against, ratio, budget, isMet: ratio.median >= atLeast }];
  }

  /** By the processor time of the application, which what else runs on the machine changes least. */
  #judgeBefore(): Verdict[] {
    const costs = (file: string, kind: Kind) =>
      this.#runners
        .find((runner) => runner.file === file)
        ?.loads.get(kind)
        ?.map(({ cpuMicroseconds }) => cpuMicroseconds);
    return this.#runners.flatMap(({ file }) =>
      this.#kinds.flatMap((kind) => judgeBefore(`${file}: ${kind}`, costs(file, kind), costs(beforeOf(file), kind))),
    );
  }

  #plot(title: string): string {
    const drawn = this.#runners.filter(({ file, about }) => file !== BARE && about.missing === undefined);
    return dots({
      title: `${title}: requests a second, as a share of the bare framework`,
      axis: "share (logarithmic); the bar is half of the rounds",
      least: 0.01,
      panels: this.#kinds,
      rows: drawn.map(({ file, about }) => ({
        name: about.name,
        kind: about.kind,
        points: this.#kinds.map((kind) => {
          const share = this.#ratio(file, BARE, kind);
          return share && { value: share.median, low: share.low, high: share.high };
        }),
      })),
    });
  }
}

function median(loads: readonly MeasuredLoad[], what: keyof MeasuredLoad): number {
  return spread(loads.map((load) => load[what])).median;
}
