/**
 * What do sessions in memory cost, from a thousand to a million: how many bytes is one, how long does an operation stop the
 * process, and does a request cost more when more are stored?
 *
 *     node --conditions=sojourn-source bench/questions/memory-store.ts
 *
 * Contenders: our store, express-session's, and a sketch: a `Map` of buffers, without any order or index. `--before`
 * adds our store as it is in another checkout. Each runs in a process of its own, in turn. All hold the same application data.
 * A pause is what one call took, with whatever the garbage collector did meanwhile. "machine" is what the same loop sees around
 * an empty call, and around one that touches a page of new memory: nothing can be told apart below it.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { monitorEventLoopDelay, PerformanceObserver, performance } from "node:perf_hooks";
import { argv, execPath, memoryUsage } from "node:process";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { SessionRecord } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { beforeFolder } from "../lib/before.ts";
import { budgetTable, type Verdict } from "../lib/budget.ts";
import type { Question } from "../lib/question.ts";
import { inTurn, pairwise, spread } from "../lib/statistics.ts";
import { digits, formatTable, type Table } from "../lib/table.ts";

/** One line of the answer. */
export interface Row {
  contender: string;
  question: string;
  sessions: number;
  /** Bytes, or milliseconds (the longest first), or nanoseconds. */
  values: number[];
}

type Keep = (question: string, values: number[]) => void;

/** A call to be timed; what it needs is made beforehand. */
type Call = () => unknown;

/** What every contender is asked to do with session `n`; what it can't, it leaves out. */
interface Contender {
  create(n: number): Call;
  read(n: number): Call;
  touch?(n: number): Call;
  write(n: number): Call;
  remove(n: number): Call;
  /** Operations on the whole, by name. */
  whole: Record<string, Call>;
  /** Then everything expires; each call does one step of removing it, and says whether there may be more. */
  expire?(): Record<string, () => () => boolean>;
  /** Then a store is filled to its bound, and creating more gives up others. */
  fill?(): (n: number) => Call;
  /** At last, all of them end at once. */
  empty?: Call;
}

interface ExpressStore {
  get(id: string, callback: () => void): void;
  set(id: string, session: object, callback: () => void): void;
  touch(id: string, session: object, callback: () => void): void;
  destroy(id: string, callback: () => void): void;
  length(callback: () => void): void;
}
/** Without its types, which would also be those of every `req.session` in here. */
const { MemoryStore: TheirStore } = createRequire(import.meta.url)("express-session") as {
  MemoryStore: new () => ExpressStore;
};

const HOUR = 3_600_000;
/** How many more sessions than are stored have names. */
const BEYOND = 200_000;
const PAGE = 4_096;
const NEW_MEMORY = "machine, new memory";
/** The application's data of one session: with express-session's cookie it is a text of 513 bytes. */
const PADDING = "x".repeat(313);
const dataOf = (n: number, views: number) => ({
  user: `user-${String(n).padStart(9, "0")}`,
  csrf: "tGGpWkXkBfQ2eYd8bQxV0w",
  cart: ["book", "lamp"],
  views,
  note: PADDING,
});
/** What our engine makes of it. */
function payloadOf(n: number, views: number): string {
  const index: (string | number)[] = [0];
  let body = "";
  for (const [name, value] of Object.entries(dataOf(n, views))) {
    const text = JSON.stringify(value);
    index.push(name, text.length);
    body += text;
  }
  return `${JSON.stringify(index)}\n${body}`;
}

/** Random, yet known again: the name of session `n`. */
class Handles {
  readonly #bytes: Buffer;
  constructor(sessions: number) {
    this.#bytes = randomBytes(sessions * 16);
  }
  at(n: number): string {
    return this.#bytes.toString("base64url", n * 16, n * 16 + 16);
  }
}

const hashes = new Handles(4_096 * 2);
const secretHash = (n: number) => hashes.at(n & 4_095) + hashes.at((n * 7) & 4_095).slice(0, 21);

function ours(sessions: number, withUsers: boolean, Store = MemoryStore): Contender {
  let offset = 0;
  const clock = { now: () => Date.now() + offset, after: () => () => {} };
  const handles = new Handles(sessions + BEYOND);
  const users = Math.ceil(sessions / 2);
  const versions = new Int32Array(sessions).fill(1);
  const recordOf = (n: number, version = 1): SessionRecord => {
    const now = clock.now();
    return {
      payload: payloadOf(n, version),
      version,
      // The last character of a hash holds four bits.
      secretHash: `${secretHash(n).slice(0, 42)}A`,
      userId: withUsers ? `user-${n % users}` : null,
      createdAt: now,
      touchedAt: now,
      expiresAt: now + HOUR,
    };
  };
  const options = { clock, maxBytes: 2 ** 40 };
  let store = new Store({ ...options, maxEntries: 2 * sessions });
  const create = (n: number) => {
    const handle = handles.at(n);
    const record = recordOf(n);
    return () => store.create(handle, record);
  };
  let cursor: string | undefined;
  const whole: Contender["whole"] = {
    count: () => store.count(),
    "list of everyone": () => store.list({}),
    "list of everyone, page by page": () => {
      cursor = store.list(cursor === undefined ? {} : { cursor }).cursor;
    },
    "prune, nothing to do": () => store.prune(),
  };
  if (withUsers) {
    whole["list of a user"] = () => store.list({ userId: "user-7" });
    let user = 0;
    whole["deleteAll of a user"] = () => store.deleteAll({ userId: `user-${user++}` });
  }
  return {
    create,
    read(n) {
      const handle = handles.at(n);
      return () => store.load(handle);
    },
    touch(n) {
      const handle = handles.at(n);
      const now = clock.now();
      return () => store.touch(handle, now, now + HOUR);
    },
    write(n) {
      const handle = handles.at(n);
      const record = recordOf(n);
      return () => {
        const version = versions[n] ?? 0;
        versions[n] = version + 1;
        record.version = version + 1;
        if (store.update(handle, record, version) !== "ok") throw new Error("not written");
      };
    },
    remove(n) {
      const handle = handles.at(n);
      return () => store.delete(handle);
    },
    whole,
    expire() {
      offset += 2 * HOUR;
      let n = sessions;
      return {
        "create, four expired ones removed": () => {
          const call = create(n++);
          return () => call() === true && n < sessions + Math.min(sessions / 10, 100_000);
        },
        "prune of 1,000": () => () => store.prune() === 1_000,
      };
    },
    fill() {
      store = new Store({ ...options, maxEntries: sessions });
      return create;
    },
    empty: () => store.deleteAll({}),
  };
}

function expressSessions(sessions: number): Contender {
  const store = new TheirStore();
  const handles = new Handles(sessions + BEYOND);
  // What `cookie: { maxAge: HOUR }` makes of it; without one its sessions would never end.
  const cookie = { originalMaxAge: HOUR, expires: new Date(Date.now() + HOUR), httpOnly: true, path: "/" };
  const sessionOf = (n: number, views: number) => ({ cookie, ...dataOf(n, views) });
  // Its own names are 32 characters.
  const name = (n: number) => handles.at(n) + handles.at(sessions + BEYOND - 1 - n).slice(0, 10);
  const done = () => {};
  const set = (n: number, views: number): Call => {
    const id = name(n);
    const session = sessionOf(n, views);
    return () => store.set(id, session, done);
  };
  return {
    create: (n) => set(n, 1),
    read(n) {
      const id = name(n);
      return () => store.get(id, done);
    },
    touch(n) {
      const id = name(n);
      const session = sessionOf(n, 1);
      return () => store.touch(id, session, done);
    },
    write: (n) => set(n, 2),
    remove(n) {
      const id = name(n);
      return () => store.destroy(id, done);
    },
    whole: { count: () => store.length(done) },
  };
}

function sketch(sessions: number): Contender {
  const map = new Map<string, Buffer>();
  const handles = new Handles(sessions + BEYOND);
  const set = (n: number, views: number): Call => {
    const handle = handles.at(n);
    const payload = payloadOf(n, views);
    return () => map.set(handle, Buffer.from(payload, "latin1"));
  };
  return {
    create: (n) => set(n, 1),
    read(n) {
      const handle = handles.at(n);
      return () => map.get(handle)?.toString("latin1");
    },
    write: (n) => set(n, 2),
    remove(n) {
      const handle = handles.at(n);
      return () => map.delete(handle);
    },
    whole: { count: () => map.size },
  };
}

/** Makes what the others store, and forgets it: the garbage that is the question's own. */
function nothing(): Contender {
  const length = (n: number) => {
    const payload = payloadOf(n, 1);
    return () => payload.length;
  };
  return { create: length, read: length, write: length, remove: length, whole: {} };
}

const contenders: Record<string, (sessions: number) => Contender> = {
  sojourn: (sessions) => ours(sessions, false),
  "sojourn, two sessions a user": (sessions) => ours(sessions, true),
  "express-session": expressSessions,
  "Map of buffers": sketch,
  "nothing stored": nothing,
};

const before = beforeFolder();
const THE_VERSION_BEFORE = "the version before";
if (before !== undefined) {
  const { MemoryStore: Store }: { MemoryStore: typeof MemoryStore } = await import(
    join(before, "src/stores/memory.ts")
  );
  contenders[THE_VERSION_BEFORE] = (sessions) => ours(sessions, false, Store);
}

interface Pause {
  at: number;
  ms: number;
  /** How much of it was garbage collection. */
  collecting: number;
}

/** Calls, a few in a turn of the event loop, and the longest of each kind. */
class Pauses {
  /** Of each kind, how many calls took so many hundredths of a millisecond. */
  readonly #all = new Map<string, Uint32Array>();
  readonly #longest = new Map<string, Pause[]>();
  #collections: { at: number; ms: number; kind: number }[] = [];
  readonly #observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const kind = "detail" in entry ? (entry.detail as { kind: number }).kind : 0;
      this.#collections.push({ at: entry.startTime, ms: entry.duration, kind });
    }
  });
  readonly #delay = monitorEventLoopDelay({ resolution: 1 });
  readonly #keep: Keep;

  constructor(keep: Keep) {
    this.#keep = keep;
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  /** @param next makes the next call, and says of what kind it is; `undefined` when there is none */
  async run(phase: string, next: (call: number) => { kind: string; call: Call } | undefined): Promise<void> {
    this.#collections = [];
    this.#delay.reset();
    this.#delay.enable();
    for (let n = 0, more = true; more; ) {
      const calls: { kind: string; call: Call }[] = [];
      while (calls.length < 16) {
        const one = next(n++);
        if (one === undefined) break;
        calls.push(one);
      }
      more = calls.length === 16;
      for (const { kind, call } of calls) {
        const at = performance.now();
        call();
        const ms = performance.now() - at;
        let all = this.#all.get(kind);
        if (all === undefined) {
          all = new Uint32Array(100_000);
          this.#all.set(kind, all);
        }
        const hundredths = Math.min(Math.floor(ms * 100), 99_999);
        all[hundredths] = (all[hundredths] ?? 0) + 1;
        if (ms > 0.05) this.#note(kind, { at, ms, collecting: 0 });
      }
      await nextTurn();
    }
    this.#delay.disable();
    await nextTurn();
    await nextTurn();
    for (const pauses of this.#longest.values()) for (const pause of pauses) this.#attribute(pause);
    for (const [name, kind] of [
      ["scavenge", 1],
      ["mark-compact", 4],
      ["incremental marking", 8],
    ] as const) {
      const of = this.#collections.filter((gc) => gc.kind === kind).map(({ ms }) => ms);
      if (of.length > 0) this.#keep(`${phase}: ${of.length} collections, ${name}, ms`, longestOf(of));
    }
    this.#keep(
      `${phase}: event loop late by, ms (longest, p99.9)`,
      [this.#delay.max, this.#delay.percentile(99.9)].map((ns) => ns / 1e6),
    );
  }

  report(): void {
    for (const [kind, all] of this.#all) {
      const shares = [0.5, 0.99, 0.9999].map((share) => {
        const wanted = share * all.reduce((sum, calls) => sum + calls, 0);
        let seen = 0;
        const within = all.findIndex((calls) => {
          seen += calls;
          return seen >= wanted;
        });
        return (within + 1) / 100;
      });
      this.#keep(`${kind}: half, 99 %, 99.99 % of calls within ms`, shares);
    }
    for (const [kind, pauses] of this.#longest) {
      this.#keep(
        `${kind}: longest calls, ms`,
        pauses.map(({ ms }) => ms),
      );
      this.#keep(
        `${kind}:   collecting garbage meanwhile`,
        pauses.map(({ collecting }) => collecting),
      );
    }
  }

  #note(kind: string, pause: Pause): void {
    const longest = this.#longest.get(kind) ?? [];
    this.#longest.set(kind, longest);
    if (longest.length === 4 && pause.ms <= (longest[3]?.ms ?? 0)) return;
    longest.push(pause);
    longest.sort((a, b) => b.ms - a.ms);
    longest.length = Math.min(longest.length, 4);
  }

  #attribute(pause: Pause): void {
    for (const { at, ms } of this.#collections) {
      pause.collecting += Math.max(0, Math.min(pause.at + pause.ms, at + ms) - Math.max(pause.at, at));
    }
  }
}

/** How often calls are timed, a thousand at a time. */
const ROUNDS = 31;
const medianOf = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const longestOf = (values: number[]) => values.sort((a, b) => b - a).slice(0, 4);
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

const REHEARSED = 50_000;

/** Twice, because V8 takes some things for constant until it meets a second store. What it leaves is garbage. */
async function rehearse(make: (sessions: number) => Contender): Promise<void> {
  const subject = make(REHEARSED);
  for (let n = 0; n < REHEARSED; n++) {
    subject.create(n)();
    if (n % 1_000 === 0) await nextTurn();
  }
  for (let n = 0; n < REHEARSED; n++) {
    subject.read(n)();
    subject.touch?.(n)();
    subject.write(n)();
    if (n % 1_000 === 0) await nextTurn();
  }
  for (const [kind, step] of Object.entries(subject.expire?.() ?? {})) while (kind !== "" && step()()) await nextTurn();
  await nextTurn();
}

/** One contender, in this process. */
async function run(contender: string, sessions: number): Promise<Row[]> {
  const rows: Row[] = [];
  const keep: Keep = (question, values) => rows.push({ contender, question, sessions, values });
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  const make = contenders[contender];
  if (make === undefined) throw new Error(`no contender ${contender}`);

  // Compiled before anything is timed: V8 goes on with that for some 30,000 calls, and stops the process for milliseconds meanwhile.
  await rehearse(make);
  await rehearse(make);

  const subject = make(sessions);
  const pauses = new Pauses(keep);
  const call = () => {};
  // For about as long as the sessions are at work: what the machine does to a process it does now and then.
  const until = performance.now() + sessions / 100;
  await pauses.run("machine", () => (performance.now() < until ? { kind: "machine", call } : undefined));
  await newMemory(pauses, Math.ceil(sessions / 16));
  await collected(gc);
  const before = memoryUsage();
  await pauses.run("filling", (n) => (n < sessions ? { kind: "create", call: subject.create(n) } : undefined));
  await collected(gc);
  const after = memoryUsage();
  // Buffers of both kinds: `external` knows of no shared ones.
  const outside = after.arrayBuffers - before.arrayBuffers;
  const taken = [
    after.heapUsed - before.heapUsed + outside,
    after.heapUsed - before.heapUsed,
    outside,
    after.rss - before.rss,
  ];
  keep(
    "bytes a session (all, heap, outside; resident)",
    taken.map((all) => all / sessions),
  );

  const random = () => Math.floor(Math.random() * sessions);
  const { read, touch, write } = subject;
  const kinds = [
    { kind: "read", make: read },
    { kind: "write", make: write },
  ];
  if (touch !== undefined) kinds.push({ kind: "touch", make: touch });
  const calls = Math.min(300_000, sessions * 20);
  await pauses.run("using", (n) => {
    const one = n < calls ? kinds[n % kinds.length] : undefined;
    return one && { kind: one.kind, call: one.make(random()) };
  });
  for (const { kind, make: call } of kinds) {
    for (const [which, pick] of [
      ["any", random],
      ["of the same thousand", (n: number) => (n * 7) % 1_000],
    ] as const) {
      const rounds: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const prepared = Array.from({ length: 1_000 }, (_, n) => call(pick(n)));
        const began = performance.now();
        for (const one of prepared) if (kind !== "write" || which !== "any") one();
        rounds.push(((performance.now() - began) * 1e6) / 1_000);
        await nextTurn();
      }
      if (kind !== "write" || which !== "any") keep(`${kind}, ${which}: ns`, [medianOf(rounds)]);
    }
  }
  const created: number[] = [];
  const removed: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [rounds, make] of [
      [created, subject.create],
      [removed, subject.remove],
    ] as const) {
      const prepared = Array.from({ length: 1_000 }, (_, n) => make(sessions + n));
      const began = performance.now();
      for (const one of prepared) one();
      rounds.push(((performance.now() - began) * 1e6) / 1_000);
      await nextTurn();
    }
  }
  keep("create: ns", [medianOf(created)]);
  keep("delete: ns", [medianOf(removed)]);
  for (const [kind, call] of Object.entries(subject.whole)) {
    const often = contender === "express-session" ? 1 : 2_000;
    await pauses.run(kind, (n) => (n < often ? { kind, call } : undefined));
  }
  for (const [kind, step] of Object.entries(subject.expire?.() ?? {})) {
    let more = true;
    await pauses.run(kind, () => {
      if (!more) return undefined;
      const one = step();
      return {
        kind,
        call: () => {
          more = one();
        },
      };
    });
  }
  const create = subject.fill?.();
  if (create !== undefined) {
    const kind = "create, another evicted";
    for (let n = 0; n < sessions; n++) create(n)();
    const beyond = Math.min(100_000, sessions);
    await pauses.run(kind, (n) => (n < beyond ? { kind, call: create(sessions + n) } : undefined));
  }
  const { empty } = subject;
  if (empty !== undefined) {
    const kind = "deleteAll of everyone";
    await pauses.run(kind, (n) => (n < 1 ? { kind, call: empty } : undefined));
  }
  pauses.report();
  return rows;
}

/** With what becomes garbage as garbage is collected, and the memory of buffers, which is given back a little later. */
async function collected(gc: () => void): Promise<void> {
  for (let time = 0; time < 5; time++) {
    gc();
    await setTimeout(20);
  }
}

/** All contenders, each in processes of its own. */
export async function measure({ sizes = SIZES, only = "" } = {}): Promise<Row[]> {
  const rows: Row[] = [];
  for (const sessions of sizes) {
    const both = before !== undefined && sessions === 1_000 ? [BESIDE] : [];
    for (const contender of [...Object.keys(contenders).filter((name) => name.includes(only)), ...both]) {
      const { stdout } = await promisify(execFile)(
        execPath,
        [
          "--conditions=sojourn-source",
          "--max-old-space-size=4096",
          fileURLToPath(import.meta.url),
          "run",
          contender,
          String(sessions),
        ],
        { maxBuffer: 1 << 24 },
      );
      rows.push(...(JSON.parse(stdout) as Row[]));
    }
  }
  return rows;
}

/** The contenders of the other questions are sites; these are stores, and all of them are always asked. */
export const question: Question = {
  title: "Bytes and pauses of sessions in memory, from a thousand to a million",
  async ask({ quick, progress }) {
    progress("stores in memory");
    const rows = await measure({ sizes: quick ? [1_000] : SIZES });
    const { tables, verdicts } = findings(rows);
    return { tables, verdicts: quick ? [] : verdicts, plots: {}, data: rows };
  },
};

function findings(rows: readonly Row[]): { tables: Table[]; verdicts: Verdict[] } {
  return {
    tables: [bytesTable(rows), callsTable(rows), ...besideTable(rows), pausesTable(rows), loopTable(rows)],
    verdicts: [...bytesVerdicts(rows), ...writeVerdict(rows), ...pauseVerdicts(rows)],
  };
}

/** No call may take longer among so many sessions. */
const PAUSE_MS: Record<number, number> = { 100000: 5, 1000000: 25 };
const LARGE = Object.keys(PAUSE_MS).map(Number);
const SIZES = [1_000, ...LARGE];
const OURS = ["sojourn", "sojourn, two sessions a user"];

function valuesOf(rows: readonly Row[], contender: string, sessions: number, asked: string): number[] | undefined {
  return rows.find((row) => row.contender === contender && row.sessions === sessions && row.question.startsWith(asked))
    ?.values;
}

/** One column for each contender and number of sessions, one line for each name that somebody has. */
function comparison(
  rows: readonly Row[],
  title: string,
  suffix: string,
  cell: (values: number[], longest: number | undefined) => string,
  notes: string[],
): Table {
  const names = [...new Set(rows.filter(({ question: asked }) => asked.endsWith(suffix)).map((row) => row.question))];
  const columns = [...new Map(rows.map((row) => [`${row.contender} ${row.sessions}`, row])).values()];
  return {
    title,
    head: ["", ...columns.map(({ contender, sessions }) => `${contender}: ${sessions.toLocaleString("en")}`)],
    rows: names.map((name) => [
      name.slice(0, -suffix.length),
      ...columns.map(({ contender, sessions }) => {
        const values = valuesOf(rows, contender, sessions, name);
        const longest = valuesOf(rows, contender, sessions, `${name.slice(0, -suffix.length)}: longest calls, ms`)?.[0];
        return values === undefined ? "" : cell(values, longest);
      }),
    ]),
    notes,
  };
}

function bytesTable(rows: readonly Row[]): Table {
  return {
    title: "Bytes that a session in memory takes, of a text of 513",
    head: ["", "sessions", "all", "V8's heap", "outside", "resident"],
    rows: rows
      .filter(({ question: asked }) => asked.startsWith("bytes a session"))
      .map(({ contender, sessions, values }) => [contender, sessions.toLocaleString("en"), ...values.map(digits)]),
    notes: ["Of a thousand, what is taken for more of them to come is most of it."],
  };
}

function callsTable(rows: readonly Row[]): Table {
  return comparison(
    rows,
    "A call to the store, nanoseconds, by the sessions stored",
    ": ns",
    ([ns = Number.NaN]) => digits(ns),
    [],
  );
}

function pausesTable(rows: readonly Row[]): Table {
  return comparison(
    rows,
    "The longest calls, milliseconds: 99.99 % of them within / the longest",
    ": half, 99 %, 99.99 % of calls within ms",
    ([, , most = Number.NaN], longest = most) => `${digits(most)} / ${digits(Math.max(most, longest))}`,
    [
      "Each with whatever the garbage collector did meanwhile; machine: the same loop around an empty call, and around one that touches a page of new memory.",
      "Less than 0.01 is shown as 0.01.",
    ],
  );
}

function loopTable(rows: readonly Row[]): Table {
  return comparison(
    rows,
    "The event loop, late by at most, milliseconds",
    ": event loop late by, ms (longest, p99.9)",
    ([longest = Number.NaN]) => digits(longest),
    ["With the garbage that the question itself makes, and what V8 collects between two calls."],
  );
}

function bytesVerdicts(rows: readonly Row[]): Verdict[] {
  return LARGE.flatMap((sessions) => {
    const bytes = (contender: string) => valuesOf(rows, contender, sessions, "bytes")?.[0] ?? Number.NaN;
    const ratio = bytes("sojourn") / bytes("express-session");
    if (Number.isNaN(ratio)) return [];
    const what = `bytes a session, of ${sessions.toLocaleString("en")}`;
    return [atMost(what, "express-session's MemoryStore", ratio, 1.15, "at most 1.15")];
  });
}

/** Both in one process and in turns, because from one process to the next the same code differs by more than they do. */
async function compareWithBefore(): Promise<Row[]> {
  const sessions = 1_000;
  const stores = ["sojourn", THE_VERSION_BEFORE].flatMap((name) => contenders[name]?.(sessions) ?? []);
  for (const { create } of stores) for (let n = 0; n < sessions; n++) create(n)();
  const kinds = ["read", "touch", "write", "create", "remove"] as const;
  const costs = kinds.map(() => stores.map((): number[] => []));
  for (let round = 0; round < 400; round++) {
    for (const [at, kind] of kinds.entries()) {
      for (const [index, store] of inTurn([...stores.entries()], round)) {
        const first = kind === "create" || kind === "remove" ? sessions : 0;
        const calls = Array.from({ length: sessions }, (_, n) => store[kind]?.(first + ((n * 7) % sessions)));
        const began = performance.now();
        for (const call of calls) call?.();
        // Half of the rounds are for the compiler.
        if (round >= 200) costs[at]?.[index]?.push(((performance.now() - began) * 1e6) / sessions);
      }
      await nextTurn();
    }
  }
  return kinds.map((kind, at) => {
    const [now = [], then = []] = costs[at] ?? [];
    const { low, median, high } = spread(pairwise(now, then, (one, other) => one / other));
    const values = [spread(now).median, spread(then).median, median, low, high];
    return { contender: "sojourn", question: kind + BESIDE, sessions, values };
  });
}

const BESIDE = ", beside the version before";

function besideTable(rows: readonly Row[]): Table[] {
  const measured = rows.filter(({ question: asked }) => asked.endsWith(BESIDE));
  if (measured.length === 0) return [];
  return [
    {
      title: "Nanoseconds of a call among a thousand sessions, in turns with the version before",
      head: ["", "now", "before", "ratio", "quartiles"],
      rows: measured.map(({ question: asked, values: [now = 0, then = 0, ratio = 0, low = 0, high = 0] }) => [
        asked.slice(0, -BESIDE.length),
        ...[now, then, ratio].map(digits),
        `${digits(low)}…${digits(high)}`,
      ]),
    },
  ];
}

function writeVerdict(rows: readonly Row[]): Verdict[] {
  const [, , median, low = Number.NaN, high = Number.NaN] = valuesOf(rows, "sojourn", 1_000, `write${BESIDE}`) ?? [];
  if (median === undefined) return [];
  const ratio = { low, median, high };
  const budget = "at most 1/2";
  return [{ what: "a write among a thousand", against: THE_VERSION_BEFORE, ratio, budget, isMet: median <= 0.5 }];
}

function atMost(what: string, against: string, measured: number, most: number, budget: string): Verdict {
  const ratio = { low: measured, median: measured, high: measured };
  return { what, against, ratio, budget, isMet: measured <= most };
}

/** A virtual machine may have to fetch a page from its host when that is first touched, which whoever grows waits for. */
async function newMemory(pauses: Pauses, pages: number): Promise<void> {
  const memory = new Uint8Array(new SharedArrayBuffer(pages * PAGE));
  const touch = (page: number) => () => {
    memory[page * PAGE] = 1;
  };
  await pauses.run(NEW_MEMORY, (n) => (n < pages ? { kind: NEW_MEMORY, call: touch(n) } : undefined));
}

/** What the machine itself interrupts can't be told from what a call took: so a call may be as long as an empty one was, or a page of new memory. */
function pauseVerdicts(rows: readonly Row[]): Verdict[] {
  const suffix = ": longest calls, ms";
  return rows
    .filter(
      ({ contender, sessions, question: asked }) =>
        OURS.includes(contender) && LARGE.includes(sessions) && asked.endsWith(suffix) && !asked.startsWith("machine"),
    )
    .map(({ contender, sessions, question: asked, values }) => {
      const [longest = Number.NaN] = values;
      const [empty = 0] = valuesOf(rows, contender, sessions, `machine${suffix}`) ?? [];
      const [page = 0] = valuesOf(rows, contender, sessions, `${NEW_MEMORY}${suffix}`) ?? [];
      const machine = Math.max(empty, page);
      const most = PAUSE_MS[sessions] ?? 0;
      const what = `${contender}, ${sessions.toLocaleString("en")}: ${asked.slice(0, -suffix.length)}, longest in ms`;
      const budget = `at most ${most}, or as the machine`;
      return atMost(what, `the machine's ${digits(machine)} ms`, longest, Math.max(most, machine), budget);
    });
}

if (import.meta.main) {
  const [mode, contender, sessions] = argv.slice(2);
  if (mode === "run") {
    const isBoth = contender === BESIDE;
    console.log(JSON.stringify(await (isBoth ? compareWithBefore() : run(contender ?? "", Number(sessions)))));
  } else {
    const sizes = mode === undefined ? SIZES : mode.split(",").map(Number);
    const { tables, verdicts } = findings(await measure({ sizes, only: contender ?? "" }));
    for (const table of [...tables, budgetTable(verdicts)]) console.log(formatTable(table));
  }
}
