import { originalOf } from "../lib/before.ts";
import type { Case } from "../lib/cpu.ts";
import { countInstructions, type Effort, missingValgrind } from "../lib/instructions.ts";
import { MOST_AT_ONCE, type Work } from "../lib/messages.ts";
import type { Question } from "../lib/question.ts";
import { KINDS } from "./cpu.ts";

const FULL: Effort = { warmUp: 500, turns: 8, requests: 250, batches: 6 };
const QUICK: Effort = { warmUp: 24, turns: 1, requests: 24, batches: 1 };
/** Valgrind takes ten cores' worth of a contender's time: those that a change of ours is judged by. */
const COUNTED = [
  "bare-express",
  "sojourn-memory",
  "sojourn-sqlite",
  "sojourn-sealed",
  "express-session-memory",
  "express-session-third-party",
  "sojourn-express-session",
  "sojourn-express-session-third-party",
  "cookie-session",
  "sojourn-cookie-session",
  "limit-memory-remembering",
];
/** What cpu asks, and shapes of a session and a response that some applications have. */
const ALL_KINDS: Omit<Case, "atOnce">[] = [
  ...KINDS,
  { name: "stream of 50 chunks", path: "/stream", cookie: true, bytes: 200 },
  { name: "whole, 300 properties", path: "/whole", cookie: true, bytes: 200, properties: 300 },
];
const isUsual = ({ properties }: Pick<Work, "properties">) => properties === undefined;
const BARE = "bare-express";
/** Counts do not depend on what else runs. */
const AT_ONCE = 2;
/** What a second run may differ by, in percent of all of a request's instructions. */
const REPEATS_WITHIN = 0.5;

export const question: Question = {
  title: "instructions of one request, in process: shows a change on a noisy machine",
  async ask({ quick, contenders, progress }) {
    const missing = missingValgrind();
    if (missing !== undefined) {
      const table = { title: `Instructions of one request: not counted, ${missing}`, head: [], rows: [] };
      return { tables: [table], verdicts: [], plots: {}, data: { missing } };
    }
    const asked = contenders === undefined ? COUNTED : [BARE, ...contenders.filter((file) => file !== BARE)];
    const files = quick ? [BARE] : asked;
    const askedKinds = quick ? ALL_KINDS.slice(0, 1) : ALL_KINDS;
    const kinds = askedKinds.map((kind) => ({ ...kind, atOnce: MOST_AT_ONCE }));
    const counts = new Map<string, number[][]>();
    const waiting = [...files];
    const next = async () => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        progress(`instructions: ${file}`);
        const effort = quick ? QUICK : FULL;
        const usual = await countInstructions(file, kinds.filter(isUsual), effort);
        if (usual === undefined) continue;
        const others = kinds.filter((kind) => !isUsual(kind));
        const counted = others.length === 0 ? [] : await countInstructions(file, others, effort);
        counts.set(file, [...usual, ...(counted ?? [])]);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));

    // Compiling and timers only ever add.
    const least = (file: string) => (counts.get(file) ?? []).map((batches) => Math.min(...batches));
    const bare = least(BARE);
    const thousands = (count: number) => (Number.isNaN(count) ? "too large" : (count / 1_000).toFixed(1));
    return {
      tables: [
        {
          title: "Instructions that a request takes more than with bare Express (its own in the last line), thousands",
          head: ["thousands of instructions", ...kinds.map(({ name }) => name)],
          rows: [...counts.keys()]
            .sort((a, b) => rank(a) - rank(b))
            .map((file) => [
              file,
              ...least(file).map((count, kind) =>
                thousands(file === BARE ? count : count - (bare[kind] ?? Number.NaN)),
              ),
            ]),
          notes: [
            "Compiled code, no garbage collection; valgrind offers fewer of the processor's instructions for cryptography.",
            `A second run differs by less than ${REPEATS_WITHIN} % of the whole request.`,
          ],
        },
      ],
      verdicts: [],
      plots: {},
      data: { instructions: Object.fromEntries(counts) },
    };
  },
};

/** Bare Express last, as in the other tables. */
function rank(file: string): number {
  return file === BARE ? COUNTED.length : COUNTED.indexOf(originalOf(file));
}
