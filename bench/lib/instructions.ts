import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Member, type Program } from "./fleet.ts";
import type { Work } from "./messages.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/**
 * How many instructions a request takes, counted by valgrind's callgrind, which runs the program itself: whatever else runs on the machine
 * does not show. Counting begins when all is compiled.
 */
export interface Effort {
  /** Requests of each kind, and how often all kinds take turns, before counting. */
  warmUp: number;
  turns: number;
  /** Requests of a batch, and batches of a kind. */
  requests: number;
  batches: number;
}

/**
 * Makes two runs alike: one thread, the same hashes, code compiled after so many calls whatever the time, and hardly ever a garbage
 * collection, as one more or less in a batch would drown a hundred instructions.
 */
const NODE_FLAGS = [
  "--single-threaded",
  "--hash-seed=1",
  "--random-seed=1",
  "--invocation-count-for-maglev=100",
  "--invocation-count-for-turbofan=500",
  "--min-semi-space-size=64",
  "--max-semi-space-size=64",
  "--initial-heap-size=1000",
  "--no-incremental-marking",
];

/** Why instructions can't be counted on this machine. */
export function missingValgrind(): string | undefined {
  try {
    execFileSync("valgrind", ["--version"], { stdio: "ignore" });
    execFileSync("vgdb", ["--help"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "valgrind is not installed (Debian: apt-get install valgrind)";
  }
}

type Kind = Omit<Work, "warmUpMs" | "batchMs">;

/**
 * Instructions a request, batch by batch, for each kind of request, all with sessions of one size; `undefined` where the contender can't
 * run here, and `NaN` where such a session does not fit into its cookies.
 */
export async function countInstructions(
  file: string,
  kinds: readonly Kind[],
  { warmUp, turns, requests, batches }: Effort,
): Promise<number[][] | undefined> {
  const folder = temporaryFolder();
  const valgrind = new Valgrind(folder.path);
  const member = await Member.start(file, [...valgrind.program, process.execPath, ...NODE_FLAGS]);
  try {
    if (member.about.missing !== undefined) return undefined;
    const prepare = (kind: Kind) => member.prepare({ ...kind, warmUpMs: 0, batchMs: 0 });
    for (let turn = 0; turn < turns; turn++) {
      for (const kind of kinds) {
        if ((await prepare(kind)).tooLarge !== undefined) return kinds.map(() => [Number.NaN]);
        await member.batch(warmUp);
      }
    }
    valgrind.start(member.pid);
    const counts: number[][] = [];
    for (const kind of kinds) {
      await prepare(kind);
      valgrind.take(member.pid);
      const ofKind: number[] = [];
      for (let i = 0; i < batches; i++) {
        await member.batch(requests);
        ofKind.push(valgrind.take(member.pid) / requests);
      }
      counts.push(ofKind);
    }
    valgrind.stop(member.pid);
    await member.close();
    return counts;
  } finally {
    await member.stop();
    folder.remove();
  }
}

class Valgrind {
  readonly #folder: string;
  #dumps = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get program(): Program {
    return [
      "valgrind",
      "--quiet",
      "--tool=callgrind",
      "--instr-atstart=no",
      `--callgrind-out-file=${join(this.#folder, "out")}`,
    ];
  }

  start(pid: number): void {
    tell(pid, "instrumentation", "on");
  }

  stop(pid: number): void {
    tell(pid, "instrumentation", "off");
  }

  /** What was counted since it was last asked. */
  take(pid: number): number {
    // Writes a file with the counts, and sets them to zero.
    tell(pid, "dump");
    const file = join(this.#folder, `out.${++this.#dumps}`);
    const total = /^totals: (\d+)/m.exec(readFileSync(file, "latin1"))?.[1];
    rmSync(file);
    if (total === undefined) throw new Error("valgrind's counts can't be read");
    return Number(total);
  }
}

function tell(pid: number, ...command: string[]): void {
  execFileSync("vgdb", [`--pid=${pid}`, ...command], { stdio: ["ignore", "ignore", "pipe"] });
}
