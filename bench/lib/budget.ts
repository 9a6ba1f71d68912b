import type { Spread } from "./statistics.ts";
import { digits, type Table } from "./table.ts";

/** Something that was promised, and what came of it. */
export interface Verdict {
  /** Whose cost of what. */
  what: string;
  against: string;
  ratio: Spread;
  /** The budget in words: "at most 1/15 (0.067)". */
  budget: string;
  isMet: boolean;
}

export function budgetTable(verdicts: readonly Verdict[]): Table {
  const met = verdicts.filter(({ isMet }) => isMet).length;
  return {
    title: `Budgets: ${met} of ${verdicts.length} met`,
    head: ["budget", "against", "allowed", "measured", "quartiles", ""],
    rows: verdicts.map(({ what, against, ratio, budget, isMet }) => [
      what,
      against,
      budget,
      ratioText(ratio.median),
      `${ratioText(ratio.low)}…${ratioText(ratio.high)}`,
      isMet ? "met" : "NOT MET",
    ]),
  };
}

/** A small ratio reads better as a fraction. */
function ratioText(ratio: number): string {
  if (ratio > 0 && ratio < 0.5) return ratio < 0.001 ? "<1/1000" : `1/${digits(1 / ratio)}`;
  return digits(ratio);
}
