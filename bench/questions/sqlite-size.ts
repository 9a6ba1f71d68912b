import { mkdtempSync, rmSync } from "node:fs";
import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import express, { type Request } from "express";
import { type Session, session } from "../../src/index.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import type { Question } from "../lib/question.ts";
import { fillFile, handleOf, recordOf, tokenOf } from "../lib/sqlite-file.ts";
import { digits } from "../lib/table.ts";

/**
 * What the store's calls cost with 1,000 sessions stored and with 1,000,000, of 500 characters, asked for in no order. In one process and in turns; writes
 * as 16 a turn. Then whole requests through Express, without a socket, one after the other: what a visitor's request costs in process.
 * A pause between rounds lets the store checkpoint, which is not measured here.
 */
export const title = "SQLite: what a call and a request cost, a million sessions stored against a thousand";

const CALLS = 3_000;
const TOGETHER = 16;

const operations = [
  "load",
  "update",
  "touch",
  "create",
  "delete",
  "request that reads",
  "request that writes",
] as const;
type Operation = (typeof operations)[number];

export interface Row {
  operation: Operation;
  /** Microseconds a call, medians of the rounds. */
  small: number;
  large: number;
  /** Median of the rounds' ratios. */
  ratio: number;
}

export async function measure(options: { rounds?: number; small?: number; large?: number } = {}): Promise<Row[]> {
  const { rounds = 15, small = 1_000, large = 1_000_000 } = options;
  const folder = mkdtempSync(join(tmpdir(), "sojourn-bench-"));
  try {
    const sizes = await Promise.all([small, large].map((count) => opened(join(folder, `${count}.db`), count)));
    const costs = new Map(operations.map((operation) => [operation, sizes.map((): number[] => [])]));
    for (let round = -2; round < rounds; round++) {
      for (const operation of operations) {
        const turn = [...sizes.keys()];
        for (const index of round % 2 === 0 ? turn : turn.toReversed()) {
          const cost = await sizes[index]?.[operation]();
          // The first rounds warm up.
          if (round >= 0 && cost !== undefined) costs.get(operation)?.[index]?.push(cost);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    }
    for (const { close } of sizes) await close();
    return operations.map((operation): Row => {
      const [few = [], many = []] = costs.get(operation) ?? [];
      const ratios = many.map((cost, round) => cost / (few[round] ?? Number.NaN));
      return { operation, small: median(few), large: median(many), ratio: median(ratios) };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Of a request. */
const MOST = 1.5;

export const question: Question = {
  title,
  async ask({ quick, progress }) {
    progress("a million sessions in SQLite");
    const rows = await measure(quick ? { rounds: 1, small: 100, large: 1_000 } : {});
    const table = {
      title,
      head: ["microseconds", "a thousand", "a million", "ratio"],
      rows: rows.map(({ operation, small, large, ratio }) => [operation, ...[small, large, ratio].map(digits)]),
    };
    const verdicts = rows
      .filter(({ operation }) => operation.startsWith("request"))
      .map(({ operation, ratio }) => ({
        what: `SQLite, a million: ${operation}`,
        against: "a thousand",
        ratio: { low: ratio, median: ratio, high: ratio },
        budget: `at most ${MOST}`,
        isMet: ratio <= MOST,
      }));
    return { tables: [table], verdicts: quick ? [] : verdicts, plots: {}, data: rows };
  },
};

/** A store of so many sessions; each operation tells the microseconds that a call took. */
async function opened(path: string, count: number) {
  await fillFile(path, count);
  const store = new SqliteStore(path);
  const versions = new Uint32Array(count).fill(1);
  let created = count;
  let deleted = count;
  const chosen = () => Array.from({ length: CALLS }, () => Math.floor(Math.random() * count));
  const timed = async (work: () => Promise<unknown> | undefined) => {
    const started = performance.now();
    await work();
    return ((performance.now() - started) * 1_000) / CALLS;
  };
  const grouped = (numbers: readonly number[], call: (n: number) => Promise<unknown>) => {
    const calls = numbers.map((n) => ({ n }));
    return timed(async () => {
      for (let first = 0; first < calls.length; first += TOGETHER) {
        const outcomes = await Promise.all(calls.slice(first, first + TOGETHER).map(({ n }) => call(n)));
        if (!outcomes.every((outcome) => outcome === true || outcome === "ok")) throw new Error(`${outcomes}`);
      }
    });
  };
  const sessions = session({ store, name: "sid" });
  const app = express();
  app.use(sessions);
  app.get("/read", (req, res) => res.type("text/plain").send(String(sessionOf(req)["views"])));
  app.get("/write", (req, res) => {
    const views = Number(sessionOf(req)["views"]) + 1;
    sessionOf(req)["views"] = views;
    res.type("text/plain").send(String(views));
  });
  const requests = (url: string) => {
    const cookies = chosen().map((n) => ({ n, cookie: `sid=${tokenOf(n)}` }));
    return timed(async () => {
      for (const { n, cookie } of cookies) {
        await ask(app, url, cookie);
        if (url === "/write") versions[n] = (versions[n] ?? 0) + 1;
      }
    });
  };
  const following = (first: number) => Array.from({ length: CALLS }, (_, n) => first + n);
  return {
    close: () => sessions.close(),
    "request that reads": () => requests("/read"),
    "request that writes": () => requests("/write"),
    load() {
      const handles = chosen().map(handleOf);
      return timed(() => {
        for (const handle of handles) if (store.load(handle) === undefined) throw new Error("a session is gone");
        return undefined;
      });
    },
    update: () =>
      grouped(chosen(), (n) => {
        const version = (versions[n] ?? 0) + 1;
        versions[n] = version;
        return store.update(handleOf(n), recordOf(n, version), version - 1);
      }),
    touch: () => grouped(chosen(), (n) => store.touch(handleOf(n), Date.now(), Date.now() + 86_400_000)),
    create: () => {
      created += CALLS;
      return grouped(following(created - CALLS), (n) => store.create(handleOf(n), recordOf(n, 1)));
    },
    delete: () => {
      deleted += CALLS;
      return grouped(following(deleted - CALLS), (n) => store.delete(handleOf(n)));
    },
  };
}

function sessionOf(req: Request): Record<string, unknown> {
  return (req as Request & { session: Session & Record<string, unknown> }).session;
}

/** A request without a socket: resolves when its answer was written. */
function ask(listener: (req: IncomingMessage, res: ServerResponse) => unknown, url: string, cookie: string) {
  return new Promise<void>((resolve, reject) => {
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() }) as Writable & Socket;
    const req = new IncomingMessage(sink);
    Object.assign(req, {
      method: "GET",
      url,
      headers: { host: "localhost", cookie },
      httpVersionMajor: 1,
      httpVersionMinor: 1,
    });
    req.push(null);
    const res = new ServerResponse(req);
    res.assignSocket(sink);
    res.on("finish", () => (res.statusCode === 200 ? resolve() : reject(new Error(`answered ${res.statusCode}`))));
    listener(req, res);
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

if (import.meta.main) {
  const rows = await measure();
  console.table(
    rows.map(({ operation, small, large, ratio }) => ({
      operation,
      "1,000 µs": Number(small.toPrecision(3)),
      "1,000,000 µs": Number(large.toPrecision(3)),
      ratio: Number(ratio.toPrecision(3)),
    })),
  );
}
