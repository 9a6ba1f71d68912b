import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { SessionRecord } from "../../src/contract/store.ts";
import {
  type SqliteDatabase,
  SqliteStore,
  type SqliteStoreOptions,
  type SqliteValue,
} from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const clock = new ManualClock();

function record(different: Partial<SessionRecord> = {}): SessionRecord {
  const now = clock.now();
  const usual = { payload: "{}", version: 1, secretHash: "hash", userId: null, createdAt: now, touchedAt: now };
  return { ...usual, expiresAt: now + 60_000, ...different };
}

function pathFor(t: TestContext): string {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  return join(folder, "sessions.db");
}

function opened(t: TestContext, options: SqliteStoreOptions = {}) {
  const path = pathFor(t);
  const store = new SqliteStore(path, { clock, ...options });
  t.after(() => store.close());
  return { path, store };
}

/** One turn of the event loop, at the end of which writes are committed. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function single(database: SqliteDatabase | DatabaseSync, sql: string): unknown {
  return Object.values(Object(database.prepare(sql).get()))[0];
}

/** Notes which transactions are begun and ended, and fails where it is told to. */
class Watched implements SqliteDatabase {
  readonly #database: DatabaseSync;
  readonly ran: string[] = [];
  failing: { sql: string; errcode: number } | undefined;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  prepare(sql: string) {
    const statement = this.#database.prepare(sql);
    return {
      run: (...parameters: SqliteValue[]) => {
        this.ran.push(sql);
        if (this.failing?.sql === sql)
          throw Object.assign(new Error("as the test asked"), { errcode: this.failing.errcode });
        return statement.run(...parameters);
      },
      get: (...parameters: SqliteValue[]) => statement.get(...parameters),
      all: (...parameters: SqliteValue[]) => statement.all(...parameters),
    };
  }

  close(): void {
    this.#database.close();
  }
}

test("creates the folder for its owner only, and the files too", (t) => {
  const path = join(pathFor(t), "deep", "sessions.db");
  const store = new SqliteStore(path);
  t.after(() => store.close());
  equal(statSync(join(path, "..")).mode & 0o777, 0o700);
  const files = readdirSync(join(path, ".."));
  deepEqual(files.toSorted(), ["sessions.db", "sessions.db-reserve", "sessions.db-shm", "sessions.db-wal"]);
  for (const file of files) equal(statSync(join(path, "..", file)).mode & 0o777, 0o600, file);
});

test("leaves an existing folder and file as they are", async (t) => {
  const path = pathFor(t);
  mkdirSync(join(path, "..", "open"), { mode: 0o755 });
  writeFileSync(join(path, "..", "open", "sessions.db"), "", { mode: 0o640 });
  await new SqliteStore(join(path, "..", "open", "sessions.db")).close();
  equal(statSync(join(path, "..", "open")).mode & 0o777, 0o755);
  equal(statSync(join(path, "..", "open", "sessions.db")).mode & 0o777, 0o640);
});

test("sessions outlive the store", async (t) => {
  const path = pathFor(t);
  const first = new SqliteStore(path, { clock });
  await first.create("handle", record({ userId: "user" }));
  await first.close();
  const second = new SqliteStore(path, { clock });
  t.after(() => second.close());
  deepEqual(second.load("handle"), record({ userId: "user" }));
});

test("all writes of one turn share a transaction, and each is answered after its commit", async (t) => {
  const database = new Watched(pathFor(t));
  const store = new SqliteStore(database, { clock });
  const commits = () => database.ran.filter((sql) => sql === "COMMIT").length;
  const answered: number[] = [];
  const writes = Array.from({ length: 50 }, (_, n) =>
    store.create(`handle${n}`, record()).then(() => answered.push(commits())),
  );
  equal(store.load("handle0"), undefined, "not before it is committed");
  await Promise.all(writes);
  equal(commits(), 1);
  deepEqual(
    answered,
    Array.from({ length: 50 }, () => 1),
  );
  await Promise.all([store.touch("handle0", clock.now(), clock.now() + 60_000), store.delete("handle1")]);
  equal(commits(), 2);
  await store.close();
});

test("writes of one turn take effect in their order", async (t) => {
  const { store } = opened(t);
  deepEqual(
    await Promise.all([
      store.create("handle", record()),
      store.update("handle", record({ version: 2 }), 1),
      store.update("handle", record({ version: 2 }), 1),
      store.delete("handle"),
      store.update("handle", record({ version: 3 }), 2),
      store.create("handle", record({ payload: "anew" })),
    ]),
    [true, "ok", "conflict", true, "gone", true],
  );
  equal(store.load("handle")?.payload, "anew");
});

test("a write that SQLite refuses fails alone", async (t) => {
  const { store } = opened(t);
  const outcomes = await Promise.allSettled([
    store.create("before", record()),
    // NaN is stored as NULL, which the column refuses.
    store.create("refused", record({ version: Number.NaN })),
    store.create("after", record()),
  ]);
  deepEqual(
    outcomes.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  await rejects(() => store.create("refused", record({ version: Number.NaN })), { code: "STORE_UNAVAILABLE" });
  ok(store.load("before") && store.load("after"));
  equal(store.load("refused"), undefined);
});

for (const [failing, errcode, code] of [
  ["COMMIT", 13, "STORE_FULL"],
  ["COMMIT", 778, "STORE_UNAVAILABLE"],
  ["BEGIN IMMEDIATE", 8, "STORE_UNAVAILABLE"],
  ["BEGIN IMMEDIATE", 11, "STORE_CORRUPT"],
] as const) {
  test(`where ${failing} fails with ${errcode}, no write is acknowledged and none is kept`, async (t) => {
    const database = new Watched(pathFor(t));
    const store = new SqliteStore(database, { clock });
    t.after(() => store.close());
    await store.create("old", record());
    database.failing = { sql: failing, errcode };
    const outcomes = await Promise.allSettled([
      store.create("new", record()),
      store.update("old", record({ version: 2 }), 1),
      store.delete("old"),
    ]);
    for (const outcome of outcomes) equal(outcome.status === "rejected" && outcome.reason.code, code);
    equal(store.load("new"), undefined);
    equal(store.load("old")?.version, 1);
    database.failing = undefined;
    equal(await store.update("old", record({ version: 2 }), 1), "ok");
  });
}

test("where the writes of a turn can't be committed together, each is tried for itself", async (t) => {
  const database = new Watched(pathFor(t));
  const store = new SqliteStore(database, { clock });
  t.after(() => store.close());
  await store.create("old", record());
  const insert = database.ran.find((sql) => sql.includes("INSERT")) ?? "";
  database.failing = { sql: insert, errcode: 13 };
  const outcomes = await Promise.allSettled([
    store.update("old", record({ version: 2 }), 1),
    store.create("new", record()),
    store.touch("old", clock.now() + 1, clock.now() + 70_000),
  ]);
  deepEqual(
    outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : outcome.reason.code)),
    ["ok", "STORE_FULL", true],
  );
  equal(store.load("old")?.expiresAt, clock.now() + 70_000);
});

test("while another connection writes, reads go on and writes wait, without stopping the process", async (t) => {
  const { store, path } = opened(t, { busyTimeout: 60_000 });
  await store.create("handle", record());
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const update = store.update("handle", record({ version: 2 }), 1);
  const creation = store.create("another", record());
  for (let round = 0; round < 10; round++) {
    await delay(5);
    equal(store.load("handle")?.version, 1);
  }
  other.exec("ROLLBACK");
  other.close();
  deepEqual(await Promise.all([update, creation]), ["ok", true]);
});

test("a lock that is held for too long is an error that says so, and a later write succeeds", async (t) => {
  const { store, path } = opened(t, { busyTimeout: 50 });
  const other = new DatabaseSync(path);
  other.exec("BEGIN EXCLUSIVE");
  const outcome: unknown = await store.create("handle", record()).catch((error: unknown) => error);
  equal(Reflect.get(Object(outcome), "code"), "STORE_UNAVAILABLE");
  match(String(outcome), /locked by another connection for too long/);
  equal(store.load("handle"), undefined);
  other.exec("ROLLBACK");
  other.close();
  equal(await store.create("handle", record()), true);
});

test("an application's transaction on the same connection neither takes part nor is undone", async (t) => {
  const database = new DatabaseSync(pathFor(t));
  const store = new SqliteStore(database, { clock });
  t.after(() => store.close());
  database.exec("CREATE TABLE mine (value); BEGIN; INSERT INTO mine VALUES (1)");
  const creation = store.create("handle", record());
  await turn();
  equal(store.load("handle"), undefined);
  equal(database.isTransaction, true);
  database.exec("COMMIT");
  equal(await creation, true);
  equal(single(database, "SELECT value FROM mine"), 1);
});

test("durability: 'full' syncs every commit, the default every checkpoint", async (t) => {
  // That a synced commit survives a power cut is SQLite's promise and the disk's; no test on a running machine can cut the power.
  const full = new DatabaseSync(pathFor(t));
  deepEqual(new SqliteStore(full, { durability: "full" }).capabilities.durable, "power-loss");
  equal(single(full, "PRAGMA synchronous"), 2);
  equal(single(full, "PRAGMA journal_mode"), "wal");

  const normal = new DatabaseSync(pathFor(t));
  deepEqual(new SqliteStore(normal, { durability: "process-crash" }).capabilities.durable, "process-crash");
  equal(single(normal, "PRAGMA synchronous"), 1);

  const own = new DatabaseSync(pathFor(t));
  own.exec("PRAGMA synchronous = EXTRA");
  deepEqual(new SqliteStore(own).capabilities.durable, "power-loss");
  equal(single(own, "PRAGMA synchronous"), 3, "a connection handed over keeps its own");

  equal(opened(t).store.capabilities.durable, "process-crash");
  equal(opened(t, { durability: "full" }).store.capabilities.durable, "power-loss");
  const memory = new SqliteStore(":memory:");
  deepEqual([memory.capabilities.durable, memory.capabilities.shared], ["no", false]);
  for (const database of [full, normal, own]) database.close();
  await memory.close();
});

test("a database that was handed over keeps what the application has in it, and stays open", async (t) => {
  const database = new DatabaseSync(pathFor(t));
  database.exec(
    "CREATE TABLE users (name); INSERT INTO users VALUES ('ann'); PRAGMA user_version = 42; PRAGMA application_id = 7",
  );
  const store = new SqliteStore(database, { clock });
  await store.create("handle", record());
  await store.deleteAll({});
  await store.close();
  equal(single(database, "PRAGMA user_version"), 42);
  equal(single(database, "PRAGMA application_id"), 7);
  equal(single(database, "SELECT name FROM users"), "ann");
  database.close();
});

test("stores of different names share a file without mixing", async (t) => {
  const { store, path } = opened(t);
  const other = new SqliteStore(path, { clock, table: "Other_1" });
  await store.create("handle", record({ payload: "mine", userId: "user" }));
  await other.create("handle", record({ payload: "theirs", userId: "user" }));
  equal(await other.deleteAll({ userId: "user" }), 1);
  equal(store.load("handle")?.payload, "mine");
  equal(other.load("handle"), undefined);
  await other.close();
});

test("a page of everyone's sessions, and a sweep, and a sign-out of everyone go through many rows", async (t) => {
  const { store } = opened(t);
  const now = clock.now();
  const count = 2_500;
  await Promise.all(
    Array.from({ length: count }, (_, n) =>
      store.create(`handle${n}`, record({ touchedAt: now - ((n * 7_919) % count), expiresAt: now + 1_000 + (n % 2) })),
    ),
  );
  const seen: number[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list(cursor === undefined ? { limit: 999 } : { limit: 999, cursor });
    seen.push(...page.sessions.map(({ touchedAt }) => touchedAt));
    cursor = page.cursor;
  } while (cursor !== undefined);
  deepEqual(
    seen.toSorted((a, b) => b - a),
    Array.from({ length: count }, (_, n) => now - n),
  );
  clock.advance(1_000);
  equal(await store.prune(1_100), 1_100);
  equal(await store.prune(1_100), 150);
  equal(await store.deleteAll({}), 1_250);
  equal(store.count(), 0);
});

test("sessions that begin during a sign-out of everyone stay, and it comes to an end", async (t) => {
  const { store } = opened(t);
  await Promise.all(Array.from({ length: 1_200 }, (_, n) => store.create(`old${n}`, record())));
  let ended: number | undefined;
  const ending = store.deleteAll({}).then((count) => {
    ended = count;
  });
  let begun = 0;
  for (; ended === undefined && begun < 20 * 500; begun += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, n) => store.create(`new${begun + n}`, record())));
  }
  await ending;
  equal(ended, 1_200);
  equal(store.count(), begun);
});

test("a touch leaves the index of expiries alone, and the sweep catches up with it", async (t) => {
  const { store, path } = opened(t);
  const created = record();
  await store.create("handle", created);
  clock.advance(59_999);
  await store.touch("handle", clock.now(), clock.now() + 60_000);
  const raw = new DatabaseSync(path);
  equal(single(raw, "SELECT sweep_at FROM sojourn_sessions"), created.expiresAt);
  clock.advance(1);
  equal(await store.prune(), 0);
  equal(single(raw, "SELECT sweep_at FROM sojourn_sessions"), created.expiresAt + 59_999);
  raw.close();
});

test("reads, sweeps and lists of a user go by an index, never through the table", (t) => {
  const { path } = opened(t);
  const raw = new DatabaseSync(path);
  const planOf = (sql: string) =>
    raw
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map((row) => String(row.detail))
      .join("; ");
  match(
    planOf("SELECT payload FROM sojourn_sessions WHERE handle = ? AND expires_at > ?"),
    /^SEARCH .* USING INDEX \S+ \(handle=\?\)/,
  );
  match(
    planOf("SELECT rowid FROM sojourn_sessions WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?"),
    /^SEARCH .* USING COVERING INDEX sojourn_sessions_sweep \(sweep_at<\?\)$/,
  );
  match(
    planOf("SELECT handle FROM sojourn_sessions WHERE user_id = ? AND expires_at > ?"),
    /^SEARCH .* USING INDEX sojourn_sessions_user \(user_id=\?\)/,
  );
  raw.close();
});

test("the log is checkpointed in a quiet moment", async (t) => {
  const { store, path } = opened(t);
  const before = statSync(path).size;
  await Promise.all(
    Array.from({ length: 400 }, (_, n) => store.create(`handle${n}`, record({ payload: "x".repeat(500) }))),
  );
  equal(statSync(path).size, before);
  clock.advance(1);
  await store.touch("handle0", clock.now(), clock.now() + 60_000);
  clock.advance(1);
  equal(statSync(path).size, before, "somebody wrote within these two milliseconds");
  clock.advance(2);
  ok(statSync(path).size > before + 400 * 500);
});

test("the log does not outgrow its ceiling while nobody is ever quiet", async (t) => {
  const { store, path } = opened(t);
  let largest = 0;
  for (let round = 0; round < 2_000; round++) {
    const version = round + 1;
    // Different all through: SQLite logs only the pages that change.
    const payload = `${round}`.padEnd(8).repeat(8_192);
    if (round === 0) await store.create("handle", record({ payload }));
    else await store.update("handle", record({ payload, version }), version - 1);
    largest = Math.max(largest, statSync(`${path}-wal`).size);
  }
  ok(largest > 10 * 1024 * 1024, "so much was logged that the ceiling was needed");
  ok(largest < 90 * 1024 * 1024, `the log grew to ${largest} bytes`);
});

for (const lost of ["", "-wal", "-shm"]) {
  test(`notices that its sessions.db${lost} was removed: it acknowledges nothing that would be lost`, async (t) => {
    const { store, path } = opened(t);
    await store.create("handle", record());
    renameSync(`${path}${lost}`, `${path}-elsewhere`);
    clock.advance(100);
    await rejects(() => store.create("another", record()), {
      code: "STORE_UNAVAILABLE",
      message: /removed or replaced/,
    });
    await rejects(() => store.delete("handle"), { code: "STORE_UNAVAILABLE" });
    throws(() => store.load("handle"), { code: "STORE_UNAVAILABLE" });
    throws(() => store.count(), { code: "STORE_UNAVAILABLE" });
    await rejects(() => store.list({ userId: "user" }), { code: "STORE_UNAVAILABLE" });
    await rejects(() => store.list({}), { code: "STORE_UNAVAILABLE" });
    renameSync(`${path}-elsewhere`, `${path}${lost}`);
    ok(store.load("handle"));
    equal(await store.create("another", record()), true);
  });

  test(`serves nobody from a sessions.db${lost} that was replaced, 100 ms later at most, without a write`, async (t) => {
    const { store, path } = opened(t);
    await store.create("handle", record());
    ok(store.load("handle"));
    copyFileSync(`${path}${lost}`, `${path}-copy`);
    renameSync(`${path}-copy`, `${path}${lost}`);
    clock.advance(100);
    throws(() => store.load("handle"), { code: "STORE_UNAVAILABLE", message: /removed or replaced/ });
  });
}

test("after close every call is refused, and no timer is left", async (t) => {
  const closing = new ManualClock();
  const { store, path } = opened(t, { clock: closing });
  const creation = store.create("handle", record());
  const closed = store.close();
  throws(() => store.load("handle"), { code: "STORE_CLOSED" });
  throws(() => store.count(), { code: "STORE_CLOSED" });
  for (const call of [
    () => store.create("late", record()),
    () => store.list({}),
    () => store.list({ userId: "user" }),
    () => store.deleteAll({}),
    () => store.prune(),
  ]) {
    await rejects(call, { code: "STORE_CLOSED" });
  }
  equal(await creation, true);
  await closed;
  await store.close();
  equal(closing.pending, 0);
  equal(existsSync(`${path}-wal`), false);
});

test("a database that the application has closed is reported as closed", async (t) => {
  const database = new DatabaseSync(pathFor(t));
  const store = new SqliteStore(database, { clock });
  database.close();
  throws(() => store.load("handle"), { code: "STORE_CLOSED" });
  await rejects(() => store.create("handle", record()), { code: "STORE_CLOSED" });
});

test('a URL is refused, before it becomes a folder named "file:"', () => {
  for (const url of ["file:/x", "file:///x", "file::memory:", "sqlite:sessions.db"]) {
    throws(() => new SqliteStore(url), { name: "TypeError", message: /path/ });
  }
});

test("impossible options are refused by name", (t) => {
  const path = pathFor(t);
  const refused = (options: object, message: RegExp) =>
    throws(() => new SqliteStore(path, options), { name: "TypeError", message });
  for (const table of ["", "1a", "a b", 'a"b', "a;--", "ä", "x".repeat(64), "sqlite_sessions"])
    refused({ table }, /table/);
  for (const busyTimeout of [-1, Number.NaN, Number.POSITIVE_INFINITY]) refused({ busyTimeout }, /busyTimeout/);
  refused({ durability: "power" }, /durability/);
  for (const database of [undefined, null, 1, {}, { exec() {} }]) {
    throws(() => Reflect.construct(SqliteStore, [database]), { name: "TypeError", message: /path or a database/ });
  }
  equal(existsSync(path), false);
});

test("where Node has no SQLite, the error names both remedies", () => {
  const original = process.getBuiltinModule;
  process.getBuiltinModule = () => undefined;
  try {
    throws(() => new SqliteStore("sessions.db"), {
      name: "TypeError",
      message: /Node 22\.13 or newer, or .*better-sqlite3/,
    });
  } finally {
    process.getBuiltinModule = original;
  }
});

test("a path that can't be created is an error that names it", (t) => {
  const path = pathFor(t);
  writeFileSync(path, "");
  throws(() => new SqliteStore(join(path, "sessions.db")), {
    code: "STORE_UNAVAILABLE",
    message: /sessions\.db\/sessions\.db can't be opened/,
  });
  throws(() => new SqliteStore(join(path, "..")), { name: "SojournError", code: "STORE_UNAVAILABLE" });
});
