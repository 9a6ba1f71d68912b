import { fork } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import type { Verdict } from "../lib/budget.ts";
import type { Question } from "../lib/question.ts";
import { fillFile, handleOf, recordOf } from "../lib/sqlite-file.ts";
import { digits } from "../lib/table.ts";

/**
 * Updates of 500-character sessions a second, each acknowledged after its commit, and how long each waited: by writers in a process,
 * processes on the file, and durability. Beside it, bare loops of `node:sqlite` on the same file with the same indexes.
 */
export const title = "SQLite: commits a second, and how long a writer waits";

const SESSIONS = 100_000;

type Durability = "process-crash" | "full";

/** Who writes. The bare loops differ in when they checkpoint, in whether an update moves the index on the expiry, and in what a transaction holds. */
const contenders = {
  store: "SqliteStore",
  bare: "bare loop, a transaction a turn",
  bareIndex: "the same, and the index moves",
  bareNever: "bare loop, never checkpoints",
  bareEach: "bare loop, a transaction each",
} as const;
type Contender = keyof typeof contenders;

interface Job {
  contender: Contender;
  durability: Durability;
  writers: number;
  processes: number;
}

/** What one process is to do: its job, for so long, on its own sessions. */
interface Share extends Job {
  path: string;
  seconds: number;
  first: number;
  count: number;
}

/** What it measured. */
interface Count {
  seconds: number;
  /** Milliseconds, of each write. */
  waits: number[];
  /** The longest that the event loop stood still, in milliseconds. */
  longestPause: number;
}

export interface Row extends Job {
  name: string;
  /** Updates a second, all processes together. */
  perSecond: number;
  /** Milliseconds from the call until it was acknowledged. */
  p50: number;
  p99: number;
  longestWait: number;
  longestPause: number;
  /** The largest that the log was at the end of a round, in MiB. */
  logMiB: number;
}

const job = (contender: Contender, writers: number, processes: number, durability: Durability): Job => ({
  contender,
  writers,
  processes,
  durability,
});

const jobs: readonly Job[] = [
  ...(["store", "bare", "bareIndex", "bareNever"] as const).map((contender) => job(contender, 64, 1, "process-crash")),
  ...(["store", "bare"] as const).flatMap((contender) => [
    job(contender, 1, 1, "process-crash"),
    job(contender, 16, 1, "process-crash"),
    job(contender, 64, 2, "process-crash"),
    job(contender, 64, 4, "process-crash"),
  ]),
  job("store", 64, 1, "full"),
  job("bareEach", 1, 1, "full"),
  job("store", 1, 1, "full"),
  job("store", 16, 1, "full"),
];

/** Medians over the rounds, one row a job. */
export async function measure(options: { rounds?: number; seconds?: number; sessions?: number; only?: string } = {}) {
  const { rounds = 3, seconds = 1.5, sessions = SESSIONS, only = "" } = options;
  const folder = mkdtempSync(join(tmpdir(), "sojourn-bench-"));
  const asked = jobs.filter((each) =>
    `${each.contender} ${each.writers} ${each.processes} ${each.durability}`.match(only),
  );
  try {
    const template = join(folder, "template.db");
    await fillFile(template, sessions);
    const measured = new Map<Job, Omit<Row, keyof Job | "name">[]>(asked.map((each) => [each, []]));
    for (let round = 0; round < rounds; round++) {
      // Backwards every second time, so that nobody always comes after the same one.
      for (const each of round % 2 === 0 ? asked : asked.toReversed()) {
        measured.get(each)?.push(await run(each, { template, folder, seconds, sessions }));
      }
    }
    return asked.map((each): Row => {
      const all = measured.get(each) ?? [];
      const median = (of: (one: (typeof all)[number]) => number) => quantile(all.map(of), 0.5);
      return {
        ...each,
        name: contenders[each.contender],
        perSecond: median((one) => one.perSecond),
        p50: median((one) => one.p50),
        p99: median((one) => one.p99),
        longestWait: median((one) => one.longestWait),
        longestPause: median((one) => one.longestPause),
        logMiB: Math.max(...all.map((one) => one.logMiB)),
      };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function run(each: Job, on: { template: string; folder: string; seconds: number; sessions: number }) {
  const path = join(on.folder, "sessions.db");
  for (const suffix of ["", "-wal", "-shm", "-reserve"]) rmSync(`${path}${suffix}`, { force: true });
  copyFileSync(on.template, path);
  const count = Math.floor(on.sessions / each.processes);
  const children = Array.from({ length: each.processes }, () => fork(import.meta.filename, { stdio: "inherit" }));
  for (const [index, child] of children.entries()) {
    child.send({ ...each, path, seconds: on.seconds, first: index * count, count } satisfies Share);
    await once(child, "message");
  }
  const answers = Promise.all(children.map((child) => once(child, "message")));
  for (const child of children) child.send("go");
  const counts = (await answers).map(([message]): Count => message);
  const logMiB = statSync(`${path}-wal`).size / 2 ** 20;
  const ended = Promise.all(children.map((child) => once(child, "exit")));
  for (const child of children) child.send("end");
  await ended;
  const waits = counts.flatMap((one) => one.waits);
  return {
    perSecond: counts.reduce((sum, one) => sum + one.waits.length / one.seconds, 0),
    p50: quantile(waits, 0.5),
    p99: quantile(waits, 0.99),
    longestWait: quantile(waits, 1),
    longestPause: Math.max(...counts.map((one) => one.longestPause)),
    logMiB,
  };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}

/** A process of `run`. */
async function writer(): Promise<void> {
  const heard = async () => (await once(process, "message"))[0];
  const share: Share = await heard();
  const { close, writeFor } = share.contender === "store" ? overStore(share) : overBareLoop(share);
  process.send?.("ready");
  await heard();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const waits: number[] = [];
  const started = performance.now();
  await writeFor(started + share.seconds * 1_000, waits);
  const seconds = (performance.now() - started) / 1_000;
  process.send?.({ seconds, waits, longestPause: delay.max / 1e6 } satisfies Count);
  await heard();
  await close();
  process.disconnect();
}

/** A random session of this process's, and its next version. */
function chooser({ first, count }: Share) {
  const versions = new Uint32Array(count).fill(1);
  const handles = Array.from({ length: count }, (_, n) => handleOf(first + n));
  return () => {
    const n = Math.floor(Math.random() * count);
    const version = (versions[n] ?? 0) + 1;
    versions[n] = version;
    return { handle: handles[n] ?? "", record: recordOf(first + n, version) };
  };
}

function overStore(share: Share) {
  const store = new SqliteStore(share.path, { durability: share.durability });
  const choose = chooser(share);
  const write = async (until: number, waits: number[]) => {
    for (let now = performance.now(); now < until; ) {
      const { handle, record } = choose();
      const called = performance.now();
      const outcome = await store.update(handle, record, record.version - 1);
      // Two writers may choose one session in one turn, in either order.
      if (outcome === "gone") throw new Error("a session is gone");
      now = performance.now();
      waits.push(now - called);
    }
  };
  return {
    close: () => store.close(),
    writeFor: (until: number, waits: number[]) =>
      Promise.all(Array.from({ length: share.writers }, () => write(until, waits))),
  };
}

/** The least that could be done: the store's own statement in a loop. */
function overBareLoop(share: Share) {
  const database = new DatabaseSync(share.path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA busy_timeout = 5000;
    PRAGMA synchronous = ${share.durability === "full" ? "FULL" : "NORMAL"}`);
  if (share.contender === "bareNever") database.exec("PRAGMA wal_autocheckpoint = 0");
  const [begin, commit] = ["BEGIN IMMEDIATE", "COMMIT"].map((sql) => database.prepare(sql));
  const moved = share.contender === "bareIndex" ? ", sweep_at = expires_at + 1" : "";
  const update = database.prepare(`
    UPDATE sojourn_sessions
    SET payload = ?, version = ?, secret_hash = ?, created_at = ?, touched_at = ?, expires_at = ? ${moved}
    WHERE handle = ? AND version = ? AND expires_at > ?`);
  const choose = chooser(share);
  const writeFor = async (until: number, waits: number[]) => {
    for (let now = performance.now(); now < until; now = performance.now()) {
      const called = now;
      begin?.run();
      for (let n = 0; n < share.writers; n++) {
        const { handle, record } = choose();
        const { payload, version, secretHash, createdAt, touchedAt, expiresAt } = record;
        update.run(payload, version, secretHash, createdAt, touchedAt, expiresAt, handle, version - 1, Date.now());
      }
      commit?.run();
      const waited = performance.now() - called;
      for (let n = 0; n < share.writers; n++) waits.push(waited);
      if (share.contender !== "bareEach") await new Promise(setImmediate);
    }
  };
  return { close: () => database.close(), writeFor };
}

export const question: Question = {
  title,
  async ask({ quick, progress }) {
    progress("writers of SQLite");
    const rows = await measure(quick ? { rounds: 1, seconds: 0.05, sessions: 1_000, only: "64 1" } : {});
    const table = {
      title,
      head: ["", "writers", "processes", "durability", "a second", "p50 ms", "p99 ms", "longest ms", "loop stood ms"],
      rows: rows.map((row) => [
        row.name,
        String(row.writers),
        String(row.processes),
        row.durability,
        Math.round(row.perSecond).toLocaleString("en"),
        ...[row.p50, row.p99, row.longestWait, row.longestPause].map(digits),
      ]),
    };
    return { tables: [table], verdicts: quick ? [] : verdicts(rows), plots: {}, data: rows };
  },
};

function verdicts(rows: readonly Row[]): Verdict[] {
  const find = (contender: Contender, writers: number, durability: Durability) =>
    rows.find((row) => [contender, writers, 1, durability].join() === shapeOf(row));
  const shapeOf = ({ contender, writers, processes, durability }: Row) =>
    [contender, writers, processes, durability].join();
  const ratio = (a: Row | undefined, b: Row | undefined) => (a?.perSecond ?? Number.NaN) / (b?.perSecond ?? Number.NaN);
  const one = (value: number) => ({ low: value, median: value, high: value });
  const store = find("store", 64, "process-crash");
  const bare = ratio(store, find("bare", 64, "process-crash"));
  const synced = ratio(find("store", 64, "full"), find("bareEach", 1, "full"));
  const p99 = store?.p99 ?? Number.NaN;
  return [
    { what: "64 writers", against: contenders.bare, ratio: one(bare), budget: "at least 0.75", isMet: bare >= 0.75 },
    {
      what: "64 writers, synced",
      against: contenders.bareEach,
      ratio: one(synced),
      budget: "at least 7",
      isMet: synced >= 7,
    },
    { what: "64 writers, p99 in ms", against: "5 ms", ratio: one(p99), budget: "at most 5", isMet: p99 <= 5 },
  ];
}

if (process.send !== undefined) {
  await writer();
} else if (import.meta.main) {
  const [only = "", rounds = "3"] = process.argv.slice(2);
  const rows = await measure({ only, rounds: Number(rounds) });
  console.table(
    rows.map(({ name, durability, writers, processes, ...numbers }) => ({
      name,
      durability,
      writers,
      processes,
      ...Object.fromEntries(
        Object.entries(numbers)
          .filter(([key]) => key !== "contender")
          .map(([key, value]) => [key, Number(Number(value).toPrecision(3))]),
      ),
    })),
  );
}
