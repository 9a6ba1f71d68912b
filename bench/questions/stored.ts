import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { IndexedStore } from "../../src/contract/store.ts";
import { type Clock, systemClock } from "../../src/contract/time.ts";
import { FileStore } from "../../src/stores/file.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { mysqlQuery } from "../../test/support/servers/mariadb.ts";
import { postgresQuery } from "../../test/support/servers/postgres.ts";
import { ask } from "../../test/support/servers/redis.ts";
import type { Question } from "../lib/question.ts";
import { missing, startMysql, startPostgres, startRedis } from "../lib/servers.ts";
import { handleOf, recordOf } from "../lib/sqlite-file.ts";
import { digits, type Table } from "../lib/table.ts";
import { temporaryFolder } from "../lib/temporary-folder.ts";

/** Where sessions are kept, how many bytes they take there, and what it costs to look after them. */
const SESSIONS = 100_000;
/** Files are slow to make, and cost the same each. */
const FILES = 2_000;
const AT_ONCE = 64;
/** One session in so many is somebody's; each such user has this many. */
const OF_USER = 24;
const TIMES = 200;
const MINUTE_MS = 60_000;

/** The stores' clock. It is put forward past the end of sessions, so that nobody has to wait for it. */
const clock: Clock & { aheadMs: number } = {
  aheadMs: 0,
  now: () => Date.now() + clock.aheadMs,
  after: (ms, action) => systemClock.after(ms, action),
};

interface Place {
  name: string;
  sessions: number;
  store: IndexedStore;
  /** All that it takes, indexes included. */
  bytes(): Promise<number>;
  /** What only this store's server can tell, asked after all else. */
  more?(): Promise<string>;
  close(): Promise<unknown>;
}

const kinds: readonly { name: string; missing(): string | undefined; open(sessions: number): Promise<Place> }[] = [
  { name: "SqliteStore", missing: () => undefined, open: sqlite },
  { name: "FileStore", missing: () => undefined, open: files },
  { name: "RedisStore", missing: missing.redis, open: redis },
  { name: "PostgresStore", missing: missing.postgres, open: postgres },
  { name: "MysqlStore (MariaDB)", missing: missing.mysql, open: mysql },
];

interface Row {
  name: string;
  sessions: number;
  bytes: number;
  /** Milliseconds. */
  costs: Record<string, number>;
  more: string | undefined;
}

export const question: Question = {
  title: "Bytes a stored session takes, and what looking after them costs",
  async ask({ quick, progress }) {
    const rows: Row[] = [];
    const notes: string[] = [];
    for (const kind of kinds) {
      const lack = kind.missing();
      if (lack !== undefined) {
        notes.push(`${kind.name}: not measured, ${lack}`);
        continue;
      }
      progress(`stored sessions: ${kind.name}`);
      const place = await kind.open(quick ? 500 : SESSIONS);
      try {
        rows.push(await measure(place));
      } finally {
        await place.close();
      }
    }
    return { tables: [tableOf(rows, notes)], verdicts: [], plots: {}, data: rows };
  },
};

async function measure({ name, sessions, store, bytes, more }: Place): Promise<Row> {
  const before = await bytes();
  for (let first = 0; first < sessions; first += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, sessions - first) }, (_, i) => first + i);
    await Promise.all(some.map((n) => store.create(handleOf(n), recordOfUser(n))));
  }
  const each = ((await bytes()) - before) / sessions;
  const touchedAt = Date.now();
  const some = () => Math.floor(Math.random() * sessions);
  const costs = {
    load: await time(TIMES, () => store.load(handleOf(some()))),
    touch: await time(TIMES, (n) => store.touch(handleOf(some()), touchedAt + n, touchedAt + 86_400_000 + n)),
    "a user's 24": await time(20, () => store.list({ userId: "user 0", limit: OF_USER })),
    "100 of everyone": await time(5, () => store.list({ limit: 100 })),
    count: await time(5, () => store.count()),
    "prune, none due": await time(5, () => store.prune()),
    "prune of 1,000": await pruneOf(store, 1_000),
  };
  const told = await more?.();
  const all = await time(1, () => store.deleteAll({}));
  return { name, sessions, bytes: each, costs: { ...costs, "deleteAll({})": all }, more: told };
}

/** Of so many that have expired a while ago, in milliseconds. */
async function pruneOf(store: IndexedStore, count: number): Promise<number> {
  const expiresAt = clock.now() + MINUTE_MS;
  for (let n = 0; n < count; n += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - n) }, (_, i) => `expired ${n + i}`);
    await Promise.all(some.map((handle, i) => store.create(handle, { ...recordOfUser(n + i), expiresAt })));
  }
  clock.aheadMs = 4 * MINUTE_MS;
  try {
    const started = performance.now();
    const pruned = await store.prune(count);
    const tookMs = performance.now() - started;
    if (pruned !== count) throw new Error(`${pruned} of ${count} were pruned`);
    return tookMs;
  } finally {
    clock.aheadMs = 0;
  }
}

function recordOfUser(n: number) {
  return { ...recordOf(n, 1), userId: n % 2 === 0 ? `user ${Math.floor(n / 2 / OF_USER)}` : null };
}

/** The median of so many, one after the other, in milliseconds. */
async function time(times: number, work: (n: number) => unknown): Promise<number> {
  const all: number[] = [];
  for (let n = 0; n < times; n++) {
    const started = performance.now();
    await work(n);
    all.push(performance.now() - started);
  }
  return all.sort((a, b) => a - b)[Math.floor(times / 2)] ?? Number.NaN;
}

function tableOf(rows: readonly Row[], notes: readonly string[]): Table {
  const columns = Object.keys(rows[0]?.costs ?? {});
  return {
    title: "Sessions of 500 characters, half of them somebody's: bytes each, and milliseconds a call, one at a time",
    head: ["", "sessions", "bytes each", ...columns],
    rows: rows.map(({ name, sessions, bytes, costs }) => [
      name,
      sessions.toLocaleString("en"),
      Math.round(bytes).toLocaleString("en"),
      ...columns.map((column) => digits(costs[column] ?? Number.NaN)),
    ]),
    notes: [
      "Redis: of memory; the others: of disk, the files' in blocks. Servers are on this machine, and share its cores.",
      ...rows.flatMap(({ name, more }) => (more === undefined ? [] : [`${name}: ${more}`])),
      ...notes,
    ],
  };
}

async function sqlite(sessions: number): Promise<Place> {
  const { path: folder, remove } = temporaryFolder();
  const path = join(folder, "sessions.db");
  const store = new SqliteStore(path, { clock });
  const size = () =>
    ["", "-wal"].reduce((sum, end) => sum + (statSync(path + end, { throwIfNoEntry: false })?.size ?? 0), 0);
  return {
    name: "SqliteStore",
    sessions,
    store,
    async bytes() {
      // Long enough for the log to be moved into the file.
      for (
        let patience = 100;
        patience > 0 && (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 4_194_304;
        patience--
      )
        await new Promise((resolve) => setTimeout(resolve, 20));
      return size();
    },
    async close() {
      await store.close();
      remove();
    },
  };
}

async function files(sessions: number): Promise<Place> {
  const { path: folder, remove } = temporaryFolder();
  const store = new FileStore(join(folder, "sessions"), { clock });
  return {
    name: "FileStore",
    sessions: Math.min(sessions, FILES),
    store,
    bytes: async () =>
      readdirSync(folder, { recursive: true, encoding: "utf8" })
        .map((name) => statSync(join(folder, name)).blocks * 512)
        .reduce((sum, size) => sum + size, 0),
    async close() {
      await store.close();
      remove();
    },
  };
}

async function redis(sessions: number): Promise<Place> {
  const server = await startRedis();
  const store = new RedisStore(server.url, { clock });
  await store.count();
  return {
    name: "RedisStore",
    sessions,
    store,
    bytes: async () => Number(/used_memory:(\d+)/.exec(String(await ask(server.url, "INFO", "memory")))?.[1]),
    async more() {
      await ask(server.url, "CONFIG", "RESETSTAT");
      const records = Array.from({ length: TIMES }, (_, n) => ({ ...recordOf(n, 2), userId: null }));
      for (const [n, record] of records.entries()) {
        await store.load(handleOf(2 * n + 1));
        await store.update(handleOf(2 * n + 1), record, 1);
      }
      const statistics = String(await ask(server.url, "INFO", "commandstats"));
      const of = (command: string) => {
        const [, calls, microseconds] =
          new RegExp(`cmdstat_${command}:calls=(\\d+),usec=(\\d+)`).exec(statistics) ?? [];
        return digits(Number(microseconds) / Number(calls));
      };
      return `the server itself takes ${of("get")} µs for a load, ${of("evalsha")} for an update`;
    },
    async close() {
      await store.close();
      await server.stop();
    },
  };
}

async function postgres(sessions: number): Promise<Place> {
  const server = await startPostgres();
  const store = new PostgresStore(server.url, { clock });
  await store.count();
  return {
    name: "PostgresStore",
    sessions,
    store,
    async bytes() {
      const [row] = await postgresQuery(server.url, "SELECT pg_total_relation_size('sojourn_sessions') AS bytes");
      return Number(row?.["bytes"]);
    },
    async more() {
      const position = async () =>
        String((await postgresQuery(server.url, "SELECT pg_current_wal_lsn() AS at"))[0]?.["at"]);
      // What a page's first change since a checkpoint writes of it is not a touch's own.
      await postgresQuery(server.url, "CHECKPOINT");
      const touch = async (later: number) => {
        for (let n = 0; n < TIMES; n++)
          await store.touch(handleOf(n), Date.now() + later, Date.now() + 86_400_000 + later);
      };
      await touch(1_000);
      const before = await position();
      await touch(2_000);
      const [row] = await postgresQuery(
        server.url,
        `SELECT pg_wal_lsn_diff('${await position()}', '${before}') AS bytes`,
      );
      return `a touch writes ${Math.round(Number(row?.["bytes"]) / TIMES)} bytes of log`;
    },
    async close() {
      await store.close();
      await server.stop();
    },
  };
}

async function mysql(sessions: number): Promise<Place> {
  const server = await startMysql();
  const store = new MysqlStore(server.url, { clock });
  await store.count();
  return {
    name: "MysqlStore (MariaDB)",
    sessions,
    store,
    async bytes() {
      const [row] = await mysqlQuery(
        server.url,
        "ANALYZE TABLE sojourn_sessions",
        "SELECT data_length + index_length AS bytes FROM information_schema.tables WHERE table_name = 'sojourn_sessions'",
      );
      return Number(row?.["bytes"]);
    },
    async close() {
      await store.close();
      await server.stop();
    },
  };
}
