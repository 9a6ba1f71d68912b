import { resilient, type SessionStore } from "../../src/index.ts";
import type { Question } from "../lib/question.ts";
import { handleOf, recordOf } from "../lib/sqlite-file.ts";
import { inTurn, pairwise, spread } from "../lib/statistics.ts";
import { digits } from "../lib/table.ts";

/** What the circuit breaker around a store adds to a call, and what a call costs that it refuses. */
const handle = handleOf(1);
const record = recordOf(1, 1);
const CALLS = 20_000;
const ROUNDS = 21;

const atOnce = storeThat(() => record, true);
const later = storeThat(() => Promise.resolve(record));
const down = resilient(
  storeThat(() => Promise.reject(new Error("down"))),
  // Stays open: its pause never ends.
  { clock: { now: () => 0, after: () => () => undefined } },
);

/** Each against the bare call, if there is one. */
const CASES: { name: string; call(): unknown; bare?(): unknown }[] = [
  { name: "load, answered at once", call: callOf(resilient(atOnce)), bare: callOf(atOnce) },
  { name: "load, answered later", call: callOf(resilient(later)), bare: callOf(later) },
  { name: "load, refused", call: refused },
];

function storeThat(load: SessionStore["load"], synchronousLoad = false): SessionStore {
  const yes = () => true;
  return { synchronousLoad, load, create: yes, update: () => "ok", touch: yes, delete: yes, close: () => undefined };
}

function callOf(store: SessionStore): () => unknown {
  return () => store.load(handle);
}

function refused(): void {
  try {
    down.load(handle);
  } catch {
    return;
  }
  throw new Error("the circuit is not open");
}

export const question: Question = {
  title: "What resilient() adds to a call of the store",
  async ask({ quick, progress }) {
    progress("resilient()");
    while (down.state === "closed") await Promise.resolve(down.load(handle)).catch(() => undefined);
    const [rounds, calls] = quick ? [1, 100] : [ROUNDS, CALLS];
    const costs = CASES.map(() => ({ guarded: [] as number[], bare: [] as number[] }));
    for (let round = -2; round < rounds; round++) {
      for (const index of inTurn([...CASES.keys()], round + 2)) {
        const [current, cost] = [CASES[index], costs[index]];
        if (current === undefined || cost === undefined) continue;
        const bare = current.bare === undefined ? 0 : await microseconds(current.bare, calls);
        const guarded = await microseconds(current.call, calls);
        // The first rounds warm up.
        if (round < 0) continue;
        cost.bare.push(bare);
        cost.guarded.push(guarded);
      }
    }
    const added = costs.map(({ guarded, bare }) => spread(pairwise(guarded, bare, (a, b) => a - b)));
    return {
      tables: [
        {
          title: this.title,
          head: ["microseconds more than without it", "median", "quartiles"],
          rows: CASES.map(({ name }, index) => {
            const { median = Number.NaN, low = Number.NaN, high = Number.NaN } = added[index] ?? {};
            return [name, digits(median), `${digits(low)}…${digits(high)}`];
          }),
          notes: ["Refused: all of the call, its error included."],
        },
      ],
      verdicts: [],
      plots: {},
      data: CASES.map(({ name }, index) => ({ name, ...costs[index] })),
    };
  },
};

async function microseconds(call: () => unknown, calls: number): Promise<number> {
  const started = performance.now();
  for (let i = 0; i < calls; i++) {
    const answer = call();
    if (answer instanceof Promise) await answer;
  }
  return ((performance.now() - started) * 1_000) / calls;
}
