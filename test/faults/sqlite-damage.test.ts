import { deepEqual, equal, ok, throws } from "node:assert/strict";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SojournError } from "../../src/contract/errors.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { recordOf } from "./sqlite-history.ts";

function pathFor(t: TestContext): string {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  return join(folder, "sessions.db");
}

/** Twenty records in version 1 in the main file, all but the last in version 2 in its log; as a killed process leaves them. */
async function leftBehind(t: TestContext): Promise<{ path: string; copy(n: number): string }> {
  const path = pathFor(t);
  const store = new SqliteStore(path);
  for (let n = 0; n < 20; n++) await store.create(`handle${n}`, recordOf(`handle${n}`, 1));
  await store.close();
  const reopened = new SqliteStore(path);
  t.after(() => reopened.close());
  for (let n = 0; n < 19; n++) await reopened.update(`handle${n}`, recordOf(`handle${n}`, 2), 1);
  return {
    path,
    copy(n) {
      const folder = join(path, "..", `copy ${n}`);
      mkdirSync(folder);
      for (const end of ["", "-wal"]) copyFileSync(`${path}${end}`, join(folder, `sessions.db${end}`));
      return join(folder, "sessions.db");
    },
  };
}

/** Uses a store in every way. Whatever is wrong with its file, only our errors may come of it. */
async function use(store: SqliteStore): Promise<string[]> {
  const codes: string[] = [];
  const note = (error: unknown) => {
    ok(error instanceof SojournError, `not one of our errors: ${String(error)}`);
    codes.push(error.code);
  };
  for (let n = 0; n < 20; n++) {
    try {
      store.load(`handle${n}`);
    } catch (error) {
      note(error);
    }
  }
  await store.list({}).catch(note);
  await store.list({ userId: "user of handle3" }).catch(note);
  await store.create("new", recordOf("new", 1)).catch(note);
  await store.update("handle1", recordOf("handle1", 3), 2).catch(note);
  await store.delete("handle2").catch(note);
  await store.prune().catch(note);
  await store.deleteAll({ userId: "user of handle4" }).catch(note);
  return codes;
}

/** Opens it if it can be opened. */
async function openAndUse(path: string): Promise<string[]> {
  let store: SqliteStore;
  try {
    store = new SqliteStore(path);
  } catch (error) {
    ok(error instanceof SojournError, `not one of our errors: ${String(error)}`);
    return [error.code];
  }
  const codes = await use(store);
  await store.close().catch((error: unknown) => ok(error instanceof SojournError));
  return codes;
}

test("a file that is no database is refused by its name, and left as it is", (t) => {
  const path = pathFor(t);
  const garbage = Buffer.from("not a database at all. ".repeat(1_000));
  writeFileSync(path, garbage);
  throws(
    () => new SqliteStore(path),
    (error: unknown) => {
      ok(error instanceof SojournError);
      deepEqual([error.code, error.status], ["STORE_CORRUPT", 503]);
      ok(error.message.includes(path));
      ok(!error.message.includes("not a database at all"));
      return true;
    },
  );
  deepEqual(readFileSync(path), garbage);
});

test("a log that was cut off anywhere: what is before the cut is there, nothing is torn", async (t) => {
  const { path, copy } = await leftBehind(t);
  const length = statSync(`${path}-wal`).size;
  let last = -1;
  for (let n = 0; n <= 40; n++) {
    const damaged = copy(n);
    truncateSync(`${damaged}-wal`, Math.floor((length * n) / 40));
    const store = new SqliteStore(damaged);
    let updated = 0;
    let ended = false;
    for (let handle = 0; handle < 20; handle++) {
      const record = store.load(`handle${handle}`);
      ok(record);
      deepEqual(record, recordOf(`handle${handle}`, record.version));
      if (record.version === 1) ended = true;
      else {
        equal(ended, false, "commits are lost from the end only");
        updated++;
      }
    }
    ok(updated >= last, "a longer log holds more");
    last = updated;
    await store.close();
  }
  equal(last, 19);
});

test("a log with flipped bits: what is before the damage is there, nothing is torn", async (t) => {
  const { path, copy } = await leftBehind(t);
  const length = statSync(`${path}-wal`).size;
  for (let n = 0; n < 40; n++) {
    const damaged = copy(n);
    flip(`${damaged}-wal`, Math.floor((length * n) / 40) + 7);
    const store = new SqliteStore(damaged);
    for (let handle = 0; handle < 20; handle++) {
      const record = store.load(`handle${handle}`);
      ok(record);
      deepEqual(record, recordOf(`handle${handle}`, record.version));
    }
    await store.close();
  }
});

test("a main file that was cut off or flipped anywhere: our errors, and no crash", async (t) => {
  const { path, copy } = await leftBehind(t);
  const { length } = readFileSync(path);
  const seen = new Set<string>();
  for (let n = 0; n < 40; n++) {
    const cut = copy(2 * n);
    writeFileSync(`${cut}-wal`, "");
    truncateSync(cut, 1 + Math.floor((length * n) / 41));
    for (const code of await openAndUse(cut)) seen.add(code);
    const flipped = copy(2 * n + 1);
    writeFileSync(`${flipped}-wal`, "");
    for (let page = 0; page < length; page += 4_096) flip(flipped, Math.min(length - 1, page + n * 3));
    for (const code of await openAndUse(flipped)) seen.add(code);
  }
  ok(seen.has("STORE_CORRUPT"));
});

test("a file that is overwritten while in use: our errors or what was there, and no crash", async (t) => {
  const path = pathFor(t);
  const store = new SqliteStore(path);
  for (let n = 0; n < 20; n++) await store.create(`handle${n}`, recordOf(`handle${n}`, 9));
  for (const end of ["", "-wal"]) {
    const descriptor = openSync(`${path}${end}`, "r+");
    writeSync(descriptor, Buffer.alloc(statSync(`${path}${end}`).size, "garbage "));
    closeSync(descriptor);
  }
  for (let n = 0; n < 20; n++) {
    try {
      const record = store.load(`handle${n}`);
      if (record !== undefined) deepEqual(record, recordOf(`handle${n}`, 9));
    } catch (error) {
      ok(error instanceof SojournError);
    }
  }
  await use(store);
  await store.close().catch((error: unknown) => ok(error instanceof SojournError));
  const codes = await openAndUse(path);
  ok(codes.includes("STORE_CORRUPT"), codes.join());
});

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  writeFileSync(path, bytes);
}
