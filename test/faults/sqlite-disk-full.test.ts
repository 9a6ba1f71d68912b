import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, rmdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { SojournError } from "../../src/contract/errors.ts";
import type { SessionRecord } from "../../src/contract/store.ts";
import { DatabaseFile } from "../../src/stores/sqlite/database-file.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ManualClock } from "../../src/testing/index.ts";

/** A disk of this size, or `undefined` where this user may not mount one; then the test is skipped, which fails in CI. */
function disk(t: TestContext, size: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "sojourn", folder], { stdio: "ignore" });
  } catch {
    rmdirSync(folder);
    t.skip("mounting a small file system takes root, and Linux");
    return undefined;
  }
  t.after(() => {
    execFileSync("umount", ["--lazy", folder]);
    rmdirSync(folder);
  });
  return folder;
}

function recordFor(clock: ManualClock): SessionRecord {
  const now = clock.now();
  const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 };
  return { payload: "x".repeat(500), version: 1, secretHash: "hash", userId: "user", ...times };
}

/** Creates sessions until the disk is full; the handles of those that were acknowledged. */
async function fill(store: SqliteStore, record: SessionRecord, name: string): Promise<string[]> {
  const created: string[] = [];
  for (;;) {
    const handle = `${name} ${created.length}`;
    try {
      equal(await store.create(handle, record), true);
    } catch (error) {
      ok(error instanceof SojournError);
      deepEqual([error.code, error.status], ["STORE_FULL", 503]);
      equal(store.load(handle), undefined, "what was refused is not there");
      return created;
    }
    created.push(handle);
  }
}

function checkIntegrity(path: string): void {
  const database = new DatabaseSync(path);
  deepEqual({ ...database.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
  database.close();
}

for (const { size, characters } of [
  { size: "256k", characters: 500 },
  { size: "1m", characters: 500 },
  { size: "8m", characters: 500 },
  { size: "8m", characters: 40_000 },
]) {
  test(`full of ${characters}-character sessions (${size}): reads and logouts work, and make room again`, async (t) => {
    const folder = disk(t, size);
    if (folder === undefined) return;
    const path = join(folder, "sessions.db");
    const clock = new ManualClock();
    const store = new SqliteStore(path, { clock });
    const record = { ...recordFor(clock), payload: "x".repeat(characters) };
    let living: string[] = [];
    // Again and again: each time it is full, whoever is there can be read and can leave.
    for (let round = 0; round < 5; round++) {
      const created = await fill(store, record, `round${round}`);
      ok(created.length > 0, `nothing fitted in round ${round}`);
      living.push(...created);
      for (const handle of living) deepEqual(store.load(handle), record);
      const leaving = living.filter((_, n) => n % 3 === 0);
      for (const handle of leaving) equal(await store.delete(handle), true);
      for (const handle of leaving) equal(store.load(handle), undefined);
      living = living.filter((handle) => !leaving.includes(handle));
    }
    equal(await store.deleteAll({ userId: "user", except: living[0] ?? "none" }), living.length - 1);
    equal(await store.create("once more", record), true);
    await store.close();
    checkIntegrity(path);
  });
}

test("filled by something else: logging out works, and everything does once there is space", async (t) => {
  const folder = disk(t, "4m");
  if (folder === undefined) return;
  const path = join(folder, "sessions.db");
  const clock = new ManualClock();
  const store = new SqliteStore(path, { clock });
  const record = recordFor(clock);
  for (let n = 0; n < 100; n++) equal(await store.create(`early${n}`, record), true);
  const reserved = existsSync(`${path}-reserve`);
  equal(reserved, true);
  const other = join(folder, "log of something else");
  await rejects(async () => {
    for (;;) appendFileSync(other, Buffer.alloc(4_096));
  });

  const created = await fill(store, record, "handle");
  for (let n = 0; n < 100; n++) equal(await store.delete(`early${n}`), true);
  equal(existsSync(`${path}-reserve`), false, "the reserve was needed");
  for (const handle of created) deepEqual(store.load(handle), record);
  equal(await store.prune(), 0);

  rmSync(other);
  // More than were deleted: the file may grow again.
  for (let n = 0; n < 300; n++) equal(await store.create(`late${n}`, record), true);
  equal(await store.create("after", record), true);
  equal(existsSync(`${path}-reserve`), true, "and is kept back again");
  equal(await store.deleteAll({ except: "after" }), created.length + 300);
  await store.close();
  checkIntegrity(path);
});

test("filled from outside while the log exceeds the reserve: logouts still find room", async (t) => {
  const folder = disk(t, "8m");
  if (folder === undefined) return;
  const path = join(folder, "sessions.db");
  const clock = new ManualClock();
  const store = new SqliteStore(path, { clock });
  const record = recordFor(clock);
  for (let n = 0; n < 200; n++) equal(await store.create(`early${n}`, record), true);
  equal(await store.create("large", record), true);
  const length = () => statSync(`${path}-wal`).size;
  for (let version = 1; length() < (3 * statSync(`${path}-reserve`).size) / 2; version++) {
    const payload = `${version}`.padEnd(8).repeat(5_000);
    equal(await store.update("large", { ...record, payload, version: version + 1 }, version), "ok");
  }
  const other = join(folder, "log of something else");
  await rejects(async () => {
    for (;;) appendFileSync(other, Buffer.alloc(4_096));
  });
  // Each is a few new pages of the main file, and as many of the log.
  const created = await fill(store, { ...record, payload: "x".repeat(40_000) }, "handle");
  for (let n = 0; n < 200; n++) equal(await store.delete(`early${n}`), true);
  for (const handle of created) equal(await store.delete(handle), true);
  await store.close();
  checkIntegrity(path);
});

test("filled while nobody is quiet: nothing that was acknowledged is lost, and logging out works", async (t) => {
  const folder = disk(t, "32m");
  if (folder === undefined) return;
  const path = join(folder, "sessions.db");
  const checkpoint = t.mock.method(DatabaseFile.prototype, "checkpoint");
  const clock = new ManualClock();
  const store = new SqliteStore(path, { clock });
  const record = { ...recordFor(clock), expiresAt: 2 ** 45 };
  for (let n = 0; n < 100; n++) equal(await store.create(`early${n}`, record), true);
  const large = (version: number) => ({ ...record, payload: `${version}`.padEnd(8).repeat(20_000), version });
  equal(await store.create("large", large(1)), true);
  let version = 1;
  const update = () => store.update("large", large(version + 1), version).then(() => version++);
  while (checkpoint.mock.callCount() === 0) await update();
  const other = join(folder, "log of something else");
  await rejects(async () => {
    for (;;) appendFileSync(other, Buffer.alloc(4_096));
  });
  equal(await store.delete("early0"), true);
  await rejects(
    async () => {
      for (let n = 0; n < 5_000; n++) await Promise.all([update(), store.create(`late${n}`, large(1))]);
    },
    { code: "STORE_FULL" },
  );
  ok(version > 1 && store.load("large")?.version === version);
  for (let n = 1; n < 100; n++) equal(await store.delete(`early${n}`), true);
  await store.close();
  checkIntegrity(path);
});

test("no room even for a new database is an error that says so", (t) => {
  const folder = disk(t, "8k");
  if (folder === undefined) return;
  let outcome: unknown;
  try {
    new SqliteStore(join(folder, "sessions.db"));
  } catch (error) {
    outcome = error;
  }
  ok(outcome instanceof SojournError);
  ok(outcome.code === "STORE_FULL" || outcome.code === "STORE_UNAVAILABLE", outcome.code);
});
