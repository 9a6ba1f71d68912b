import { deepEqual, equal } from "node:assert/strict";
import disk from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { type TestContext, test } from "node:test";
import type { SessionRecord } from "../../src/contract/store.ts";
import { FileStore } from "../../src/stores/file.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const { readdir } = disk;

/** Folders are listed by way of `around`, until the test is over. */
function listing(t: TestContext, around: (folder: string, names: string[]) => Promise<string[]>): void {
  const looked = async (folder: string) => around(folder, await readdir(folder));
  Object.assign(disk, { readdir: looked });
  syncBuiltinESMExports();
  t.after(() => {
    Object.assign(disk, { readdir });
    syncBuiltinESMExports();
  });
}

function stores(t: TestContext): { store: FileStore; other: FileStore } {
  const { folder, remove } = temporaryFolder();
  const clock = new ManualClock();
  const [store, other] = [new FileStore(folder, { clock }), new FileStore(folder, { clock })];
  t.after(async () => {
    await Promise.all([store.close(), other.close()]);
    remove();
  });
  return { store, other };
}

/** Two stores of one folder; what the other one does comes between a look at a user's list and what is done about it. */
function place(t: TestContext, meanwhile: (other: FileStore) => Promise<unknown>) {
  const { store, other } = stores(t);
  let looks = 0;
  listing(t, async (folder, names) => {
    if (folder.includes("/users/") && looks++ === 0) await meanwhile(other);
    return names;
  });
  return { store, looks: () => looks };
}

function recordOf(userId: string): SessionRecord {
  const now = Date.UTC(2050, 0, 1);
  const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 };
  return { payload: "payload", version: 1, secretHash: `hash of ${userId}'s`, userId, ...times };
}

test("a sign-out ends no session that has another user by the time of its turn", async (t) => {
  const { store, looks } = place(t, async (other) => {
    equal(await other.delete("handle"), true);
    equal(await other.create("handle", recordOf("bob")), true);
  });
  await store.create("handle", recordOf("ann"));
  equal(await store.deleteAll({ userId: "ann" }), 0);
  equal(looks() > 0, true);
  deepEqual(await store.load("handle"), recordOf("bob"));
  equal(await store.count({ userId: "bob" }), 1);
});

test("a sign-out ends a session that gets another handle while it is under way", async (t) => {
  const { store } = place(t, async (other) => {
    equal(await other.replace("handle", 1, "heir", recordOf("ann")), "ok");
  });
  await store.create("handle", recordOf("ann"));
  await store.create("another", recordOf("ann"));
  equal(await store.deleteAll({ userId: "ann" }), 2);
  for (const handle of ["handle", "heir", "another"]) equal(await store.load(handle), undefined, handle);
  equal(await store.count({ userId: "ann" }), 0);
});

test("a listing that lacks the state, which is being renamed, ends nobody's session", async (t) => {
  const { store } = stores(t);
  await store.create("handle", recordOf("ann"));
  let misses = 0;
  listing(t, async (folder, names) => {
    const isMissed = /\/[0-9a-f]{64}$/.test(folder) && !folder.includes("/users/") && misses++ % 2 === 0;
    return isMissed ? names.filter((name) => !name.includes(".")) : names;
  });
  deepEqual(await store.load("handle"), recordOf("ann"));
  equal(await store.update("handle", { ...recordOf("ann"), version: 2 }, 1), "ok");
  equal(await store.touch("handle", Date.UTC(2050, 0, 1) + 1, Date.UTC(2050, 0, 2)), true);
  equal(await store.count({ userId: "ann" }), 1);
  equal((await store.list({ userId: "ann" })).sessions.length, 1);
  equal(await store.delete("handle"), true);
  equal(misses >= 6, true);
});
