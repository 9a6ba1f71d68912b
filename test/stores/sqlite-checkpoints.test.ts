import { deepEqual, equal, ok } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { CheckpointThread } from "../../src/stores/sqlite/checkpoint-thread.ts";
import { WriteLock } from "../../src/stores/sqlite/write-lock.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import type { SessionRecord } from "../../src/stores/store.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** So many updates of a large session fill the log to where the thread begins: 32 MiB. */
const UNTIL_THREAD = 512;
/** The log's ceiling, and one transaction more. */
const MOST_BYTES = 129 * 2 ** 20;

function pathFor(t: TestContext): string {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  return join(folder, "sessions.db");
}

/** 16 pages, all of which change with each version. */
function large(version: number): SessionRecord {
  const payload = `${version}`.padEnd(8).repeat(8_000);
  return { payload, version, secretHash: "hash", userId: null, createdAt: 1, touchedAt: 1, expiresAt: 2 ** 45 };
}

/** A store where nobody is ever quiet, since its clock stands still, and the one session that is updated in it. */
async function busyStore(path: string) {
  const store = new SqliteStore(path, { clock: new ManualClock() });
  let version = 1;
  await store.create("large", large(version));
  return {
    store,
    version: () => version,
    async write(times: number, until: () => boolean = () => false) {
      for (let n = 0; n < times && !until(); n++) {
        version++;
        equal(await store.update("large", large(version), version - 1), "ok");
      }
    },
  };
}

function lengthOfLog(path: string): number {
  return statSync(`${path}-wal`).size;
}

/** Another one each time that the log is begun anew (https://www.sqlite.org/fileformat2.html, 4.1). */
function saltOfLog(path: string): string {
  return readFileSync(`${path}-wal`).toString("hex", 16, 24);
}

function committedVersion(path: string): unknown {
  const database = new DatabaseSync(path);
  const row = database.prepare("SELECT version FROM sojourn_sessions WHERE handle = 'large'").get();
  deepEqual({ ...database.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
  database.close();
  return row?.version;
}

test("while somebody writes all the time a thread checkpoints, and the log begins anew", async (t) => {
  const path = pathFor(t);
  const { store, write, version } = await busyStore(path);
  const checkpoint = t.mock.method(CheckpointThread.prototype, "checkpoint");
  await write(UNTIL_THREAD - 20);
  equal(checkpoint.mock.callCount(), 0, "a store that never gets there starts no thread");
  const salt = saltOfLog(path);
  let largest = 0;
  await write(20_000, () => {
    largest = Math.max(largest, lengthOfLog(path));
    return version() % 16 === 0 && saltOfLog(path) !== salt;
  });
  ok(checkpoint.mock.callCount() > 1);
  ok(saltOfLog(path) !== salt, "the log was never begun anew");
  ok(largest < MOST_BYTES, `the log grew to ${largest} bytes`);
  await store.close();
  equal(committedVersion(path), version());
});

test("a thread that does not get on lets the log grow to its ceiling, where writes wait for it", async (t) => {
  const path = pathFor(t);
  const { store, write, version } = await busyStore(path);
  const slow = Promise.withResolvers<void>();
  const checkpoint = t.mock.method(CheckpointThread.prototype, "checkpoint", () =>
    slow.promise.then(() => "complete" as const),
  );
  let stands = 0;
  let seen = 0;
  let done = false;
  const writing = write(2_600).then(() => {
    done = true;
  });
  while (stands < 50) {
    await new Promise(setImmediate);
    stands = seen === version() ? stands + 1 : 0;
    seen = version();
  }
  equal(done, false, "writes went on");
  ok(lengthOfLog(path) > 2 * 32 * 2 ** 20 && lengthOfLog(path) < MOST_BYTES, `${lengthOfLog(path)}`);
  equal(store.load("large")?.version, version() - 1, "reads go on");
  slow.resolve();
  await writing;
  checkpoint.mock.restore();
  await store.close();
  equal(committedVersion(path), 2_601);
});

test("closing in the middle of the thread's checkpoint waits for its end", async (t) => {
  const path = pathFor(t);
  const { store, write, version } = await busyStore(path);
  const checkpoint = t.mock.method(CheckpointThread.prototype, "checkpoint");
  await write(2 * UNTIL_THREAD, () => checkpoint.mock.callCount() > 0);
  const last = store.update("large", large(version() + 1), version());
  await store.close();
  equal(await last, "ok");
  equal(existsSync(`${path}-wal`), false, "the last connection has removed the log");
  equal(committedVersion(path), version() + 1);
});

test("a checkpoint of the thread that fails loses nothing, and refuses nothing where there is room", async (t) => {
  const path = pathFor(t);
  const { store, write, version } = await busyStore(path);
  const checkpoint = t.mock.method(CheckpointThread.prototype, "checkpoint", () => Promise.resolve("failed" as const));
  await write(UNTIL_THREAD + 10);
  ok(checkpoint.mock.callCount() > 0);
  equal(await store.create("another", large(1)), true);
  await store.close();
  equal(committedVersion(path), version());
});

test("a thread that has no file to open is unusable, and ends", async (t) => {
  const path = pathFor(t);
  const thread = new CheckpointThread(path);
  equal(thread.isUnusable, false);
  equal(await thread.checkpoint(), "failed");
  equal(thread.isUnusable, true);
  equal(await thread.checkpoint(), "failed");
  await thread.end();
  equal(existsSync(path), false, "and creates none");
});

test("where the thread has broken down, commits checkpoint", async (t) => {
  const path = pathFor(t);
  const { store, write, version } = await busyStore(path);
  const checkpoint = t.mock.method(CheckpointThread.prototype, "checkpoint", function (this: CheckpointThread) {
    return this.end().then(() => "failed" as const);
  });
  const salt = saltOfLog(path);
  await write(1_200);
  equal(checkpoint.mock.callCount(), 1);
  ok(saltOfLog(path) !== salt);
  ok(lengthOfLog(path) < 66 * 2 ** 20, `${lengthOfLog(path)}`);
  await store.close();
  equal(committedVersion(path), version());
});

test("a process ends by itself although it has a thread; where threads are forbidden it goes without", async (t) => {
  const path = pathFor(t);
  const program = `
    import { SqliteStore } from ${JSON.stringify(new URL("../../src/stores/sqlite.ts", import.meta.url).href)};
    const store = new SqliteStore(process.argv[1]);
    const record = (version) => ({ payload: \`\${version}\`.padEnd(8).repeat(8_000), version, secretHash: "hash", userId: null,
      createdAt: 1, touchedAt: 1, expiresAt: 2 ** 45 });
    await store.create("large", record(1));
    for (let version = 2; version <= 1200; version++) await store.update("large", record(version), version - 1);
  `;
  const run = (file: string, ...flags: string[]) =>
    execFileSync(process.execPath, ["--no-warnings", ...flags, "--input-type=module", "--eval", program, file], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: {},
    });
  equal(run(path), "");
  equal(committedVersion(path), 1_200);
  const another = `${path}-another`;
  equal(run(another, "--permission", "--allow-fs-read=*", "--allow-fs-write=*"), "");
  equal(committedVersion(another), 1_200);
});

test("an application's own connection gets no thread", async (t) => {
  const path = pathFor(t);
  const database = new DatabaseSync(path);
  const store = new SqliteStore(database, { clock: new ManualClock() });
  const checkpoint = t.mock.method(CheckpointThread.prototype, "checkpoint");
  await store.create("large", large(1));
  for (let version = 2; version < 1_300; version++) await store.update("large", large(version), version - 1);
  equal(checkpoint.mock.callCount(), 0);
  ok(lengthOfLog(path) < 66 * 2 ** 20, `${lengthOfLog(path)}`);
  await store.close();
  database.close();
});

test("the lock is given back in time, whether or not the work is done", async (t) => {
  const path = pathFor(t);
  const [mine, other] = [new DatabaseSync(path), new DatabaseSync(path)];
  t.after(() => [mine, other].map((database) => database.close()));
  mine.exec("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 0; CREATE TABLE numbers (n)");
  const clock = new ManualClock();
  const lock = new WriteLock(mine, clock);
  const work = Promise.withResolvers<void>();
  const isFree = () => {
    try {
      other.exec("BEGIN IMMEDIATE; ROLLBACK");
      return true;
    } catch {
      return false;
    }
  };
  const late = lock.holdDuring(() => work.promise.then(() => 1), 2);
  const inner = lock.holdDuring(() => Promise.resolve(2), Number.POSITIVE_INFINITY);
  deepEqual(await inner, { result: 2, isLate: false });
  equal(lock.isHeld, true, "the other holder still has it");
  equal(isFree(), false);
  const told: string[] = [];
  lock.afterwards(() => told.push("free"));
  clock.advance(2);
  equal(lock.isHeld, false);
  equal(isFree(), true);
  await new Promise(setImmediate);
  deepEqual(told, ["free"]);
  work.resolve();
  deepEqual(await late, { result: 1, isLate: true });
  equal(clock.pending, 0);

  other.exec("BEGIN IMMEDIATE");
  const hopeless = lock.holdDuring(() => Promise.reject(new Error("begun without the lock")), 2);
  for (let n = 0; n < 60; n++) {
    clock.advance(1);
    await undefined;
  }
  equal(await hopeless, undefined);
  equal(lock.isHeld, false);
  other.exec("ROLLBACK");
});
