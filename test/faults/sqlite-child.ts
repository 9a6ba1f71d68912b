import { writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { DatabaseSync } from "node:sqlite";
import type { SessionRecord } from "../../src/contract/store.ts";
import { DatabaseFile } from "../../src/stores/sqlite/database-file.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { largeRecordOf, nextVersion, recordOf } from "./sqlite-history.ts";

/** What another process does to a database: `node sqlite-child.ts <task> <path>`. One line says that a step is done. */

const [task, path = ""] = process.argv.slice(2);

function say(line: string): void {
  // At once, so that nothing said is lost when this process is killed.
  writeSync(1, `${line}\n`);
}

function told(): Promise<void> {
  return new Promise((resolve) => process.stdin.once("data", () => resolve()));
}

/** Writes without end; every acknowledged step of every handle is said. */
async function writeUntilKilled(): Promise<void> {
  const store = new SqliteStore(path);
  const checkpoint = new DatabaseSync(path).prepare("PRAGMA wal_checkpoint(PASSIVE)");
  const write = async (handle: string): Promise<never> => {
    for (let steps = 1; ; steps++) {
      const current = store.load(handle);
      const next = nextVersion(current?.version ?? 0);
      const done =
        current === undefined
          ? await store.create(handle, recordOf(handle, next))
          : next === 0
            ? await store.delete(handle)
            : (await store.update(handle, recordOf(handle, next), current.version)) === "ok";
      if (!done) throw new Error(`another writer of ${handle}?`);
      say(`${handle} ${next}`);
      // So often that some are killed in the middle of one.
      if (handle === "handle0" && steps % 3 === 0) checkpoint.get();
    }
  };
  await Promise.all(Array.from({ length: 12 }, (_, n) => write(`handle${n}`)));
}

/** Writes so much that commits checkpoint, and says so before each time; in between, every acknowledged version. */
async function writeLargeUntilKilled(): Promise<void> {
  const { checkpoint } = DatabaseFile.prototype;
  DatabaseFile.prototype.checkpoint = function () {
    say("checkpoint");
    return checkpoint.call(this);
  };
  const store = new SqliteStore(path);
  for (let version = store.load("large")?.version ?? 0; ; version++) {
    const next = largeRecordOf(version + 1);
    const done = version === 0 ? await store.create("large", next) : await store.update("large", next, version);
    if (done !== true && done !== "ok") throw new Error("another writer?");
    say(`${version + 1}`);
  }
}

/** Adds 1 to the payload 200 times, by compare and set. */
async function increment(): Promise<void> {
  const store = new SqliteStore(path);
  say("ready");
  await told();
  for (let done = 0; done < 200; ) {
    const current: SessionRecord | undefined = store.load("counter");
    if (current === undefined) throw new Error("the counter is gone");
    const { version } = current;
    const next = { ...current, payload: String(Number(current.payload) + 1), version: version + 1 };
    if ((await store.update("counter", next, version)) === "ok") done++;
  }
  await store.close();
  say("done");
  process.stdin.destroy();
}

/** Opens a database that other processes create at the same moment. */
async function openAtOnce(): Promise<void> {
  say("ready");
  await told();
  const store = new SqliteStore(path);
  const handle = `process ${process.pid}`;
  if (!(await store.create(handle, recordOf(handle, 1)))) throw new Error("taken");
  await store.close();
  say("done");
  process.stdin.destroy();
}

/** Holds the lock until told otherwise. */
async function lock(): Promise<void> {
  const database = new DatabaseSync(path);
  database.exec("BEGIN EXCLUSIVE");
  say("locked");
  await told();
  database.exec("ROLLBACK");
  database.close();
  say("released");
  process.stdin.destroy();
}

// Now, since most of these processes are killed.
flushCompileCache();
/** Waits for a lock, and for nothing else. */
async function waitAlone(): Promise<void> {
  const store = new SqliteStore(path);
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  setTimeout(() => other.exec("ROLLBACK"), 40).unref();
  await store.create("handle", recordOf("handle", 1));
  say("done");
}

const tasks: Readonly<Record<string, () => Promise<unknown>>> = {
  writeUntilKilled,
  writeLargeUntilKilled,
  increment,
  openAtOnce,
  lock,
  waitAlone,
};
await tasks[task ?? ""]?.();
