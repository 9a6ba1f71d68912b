import type { Verdict } from "./budget.ts";
import type { Table } from "./table.ts";

/** What a file in `questions/` exports as `question`. */
export interface Question {
  /** One line for `--help`. */
  title: string;
  ask(options: AskOptions): Promise<Findings>;
}

export interface AskOptions {
  /** Only sees that everything runs; its numbers mean nothing. */
  quick: boolean;
  /** Only these contenders, by the names of their files; what they are measured against comes along. `undefined`: all. */
  contenders: readonly string[] | undefined;
  /** How many processes of each contender are measured, one after another. `undefined`: as many as the question finds enough. */
  processes: number | undefined;
  /** One line of progress. */
  progress(text: string): void;
}

export interface Findings {
  tables: Table[];
  /** What docs/PERFORMANCE.md shows of them. */
  summary?: Table;
  verdicts: Verdict[];
  /** SVG files by name. */
  plots: Record<string, string>;
  /** All that was measured, for the file of results. */
  data: unknown;
}
