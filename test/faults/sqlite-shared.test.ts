import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { recordOf } from "./sqlite-history.ts";
import { start } from "./sqlite-processes.ts";

function pathFor(t: TestContext): string {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  return join(folder, "sessions.db");
}

test("two processes that increment one counter lose no increment", async (t) => {
  const path = pathFor(t);
  const store = new SqliteStore(path);
  t.after(() => store.close());
  await store.create("counter", { ...recordOf("counter", 1), payload: "0" });
  const others = [start("increment", path), start("increment", path)];
  for (const other of others) equal(await other.heard(), "ready");
  for (const other of others) other.tell();
  for (const other of others) {
    equal(await other.heard(), "done");
    equal(await other.ended, 0);
  }
  const counter = store.load("counter");
  equal(counter?.payload, "400");
  equal(counter?.version, 401);
});

test("ten processes create one database at the same moment", async (t) => {
  const path = pathFor(t);
  const others = Array.from({ length: 10 }, () => start("openAtOnce", path));
  for (const other of others) equal(await other.heard(), "ready");
  for (const other of others) other.tell();
  for (const other of others) {
    equal(await other.heard(), "done");
    equal(await other.ended, 0);
  }
  const database = new DatabaseSync(path);
  deepEqual({ ...database.prepare("SELECT count(*) AS sessions FROM sojourn_sessions").get() }, { sessions: 10 });
  deepEqual({ ...database.prepare("SELECT count(*) AS rows FROM sojourn_sessions_schema").get() }, { rows: 1 });
  deepEqual({ ...database.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
  database.close();
});

test("while another process holds the lock, reads work, writes fail in time, and the event loop turns", async (t) => {
  const path = pathFor(t);
  const store = new SqliteStore(path, { busyTimeout: 300 });
  t.after(() => store.close());
  await store.create("handle", recordOf("handle", 1));
  const other = start("lock", path);
  equal(await other.heard(), "locked");

  let turns = 0;
  let waiting = true;
  const count = () => {
    turns++;
    if (waiting) setImmediate(count);
  };
  count();
  deepEqual(store.load("handle"), recordOf("handle", 1));
  deepEqual((await store.list({ userId: "user of handle" })).sessions.length, 1);
  await rejects(() => store.update("handle", recordOf("handle", 2), 1), { code: "STORE_UNAVAILABLE", status: 503 });
  waiting = false;
  ok(turns > 100, `the event loop turned ${turns} times`);
  // A second store can still be opened, and reads as well.
  const second = new SqliteStore(path, { busyTimeout: 300 });
  equal(second.load("handle")?.version, 1);
  await second.close();

  const patient = new SqliteStore(path, { busyTimeout: 60_000 });
  const update = patient.update("handle", recordOf("handle", 2), 1);
  other.tell();
  equal(await other.heard(), "released");
  equal(await update, "ok", "it waited until the lock was free");
  await patient.close();
  equal(await store.update("handle", recordOf("handle", 3), 2), "ok");
  equal(await other.ended, 0);
});

test("a process stays alive for a write that waits for a lock, and then ends without closing the store", async (t) => {
  const other = start("waitAlone", pathFor(t));
  equal(await other.heard(), "done");
  other.process.stdin?.end();
  equal(await other.ended, 0);
});
