import { deepEqual, equal, ok } from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { SessionRecord } from "../../src/contract/store.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** The log's ceiling, and two transactions more. */
const MOST_BYTES = 66 * 2 ** 20;

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
async function busyStore(path: string, database?: DatabaseSync) {
  const store = new SqliteStore(database ?? path, { clock: new ManualClock() });
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

for (const from of ["a path", "an application's own connection"]) {
  test(`${from}: while somebody writes all the time commits checkpoint, and the log begins anew`, async (t) => {
    const path = pathFor(t);
    const database = from === "a path" ? undefined : new DatabaseSync(path);
    const { store, write, version } = await busyStore(path, database);
    const salt = saltOfLog(path);
    let largest = 0;
    await write(2_400, () => {
      largest = Math.max(largest, lengthOfLog(path));
      return false;
    });
    ok(saltOfLog(path) !== salt, "the log was never begun anew");
    ok(largest > MOST_BYTES / 2 && largest < MOST_BYTES, `the log grew to ${largest} bytes`);
    await store.close();
    database?.close();
    equal(existsSync(`${path}-wal`), false, "the last connection has removed the log");
    equal(committedVersion(path), version());
  });
}

test("a checkpoint that a reader keeps from its end loses nothing, and the log goes on behind it", async (t) => {
  const path = pathFor(t);
  const { store, write, version } = await busyStore(path);
  const reader = new DatabaseSync(path);
  reader.exec("BEGIN; SELECT count(*) FROM sojourn_sessions");
  reader.prepare("SELECT version FROM sojourn_sessions").get();
  const salt = saltOfLog(path);
  await write(1_200);
  equal(saltOfLog(path), salt, "the reader still needs the log");
  equal({ ...reader.prepare("SELECT version FROM sojourn_sessions").get() }.version, 1);
  reader.exec("COMMIT");
  reader.close();
  await write(1_200);
  ok(saltOfLog(path) !== salt);
  await store.close();
  equal(committedVersion(path), version());
});

test("a checkpoint that fails loses nothing, and refuses nothing where there is room", async (t) => {
  const path = pathFor(t);
  const database = new DatabaseSync(path);
  const prepare = database.prepare.bind(database);
  let failures = 0;
  let isFailing = true;
  t.mock.method(database, "prepare", (sql: string) => {
    const statement = prepare(sql);
    if (!sql.includes("wal_checkpoint")) return statement;
    const get = statement.get.bind(statement);
    t.mock.method(statement, "get", () => {
      if (!isFailing) return get();
      failures++;
      throw new Error("disk I/O error");
    });
    return statement;
  });
  const { store, write, version } = await busyStore(path, database);
  await write(1_200);
  ok(failures > 0);
  isFailing = false;
  equal(await store.create("another", large(1)), true);
  await store.close();
  database.close();
  equal(committedVersion(path), version());
});
