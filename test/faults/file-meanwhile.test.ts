import { deepEqual, equal } from "node:assert/strict";
import { globSync, rmSync } from "node:fs";
import disk from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Admission, SessionRecord } from "../../src/contract/store.ts";
import { nameOfHandle } from "../../src/stores/file/names.ts";
import { FileStore } from "../../src/stores/file.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { liveFor } from "./mortal-disk.ts";

const { readdir, rename } = disk;

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

/** Two stores of one folder; the other one's login comes just before a login's one decisive step, and takes its turn away. */
function stoppedLogin(t: TestContext, meanwhile: (other: FileStore) => Promise<unknown>) {
  const { folder, remove } = temporaryFolder();
  const clock = new ManualClock();
  const [store, other] = [new FileStore(folder, { clock }), new FileStore(folder, { clock })];
  let steps = 0;
  const stopped = async (from: string, to: string) => {
    if (to.includes(`/${nameOfHandle("new")}`) && steps++ === 0) {
      for (const turn of globSync(join(folder, "tmp/turn-*/*"))) rmSync(turn);
      await meanwhile(other);
    }
    return rename(from, to);
  };
  Object.assign(disk, { rename: stopped });
  syncBuiltinESMExports();
  t.after(async () => {
    Object.assign(disk, { rename });
    syncBuiltinESMExports();
    await Promise.all([store.close(), other.close()]);
    remove();
  });
  return { store, wasStopped: () => steps > 0, left: () => globSync(join(folder, "tmp/*")) };
}

function login(handle: string, exceed: Admission["exceed"]): Admission {
  return { session: { handle, ...recordOf("ann"), secretHash: `hash of ${handle}` }, limit: 1, exceed };
}

test("a login that was stopped for long is refused, if another one came first meanwhile", async (t) => {
  const { store, wasStopped, left } = stoppedLogin(t, async (other) => {
    deepEqual(await other.admit(login("other", "refuse")), { result: "ok", revoked: [] });
  });
  deepEqual(await store.admit(login("new", "refuse")), { result: "limit" });
  equal(wasStopped(), true);
  equal(await store.load("new"), undefined);
  equal(await store.count({ userId: "ann" }), 1);
  deepEqual(left(), []);
});

test("a login that was stopped for long, and is refused, gives back the session that it replaced", async (t) => {
  const { store, wasStopped, left } = stoppedLogin(t, async (other) => {
    deepEqual(await other.admit(login("other", "refuse")), { result: "ok", revoked: [] });
    equal(await other.touch("anonymous", Date.UTC(2050, 0, 1) + 1, Date.UTC(2050, 0, 2)), true);
  });
  await store.create("anonymous", recordOf("bob"));
  const admission = { ...login("new", "refuse"), replaces: { handle: "anonymous", expectedVersion: 1 } };
  deepEqual(await store.admit(admission), { result: "limit" });
  equal(wasStopped(), true);
  const touched = { ...recordOf("bob"), touchedAt: Date.UTC(2050, 0, 1) + 1, expiresAt: Date.UTC(2050, 0, 2) };
  deepEqual(await store.load("anonymous"), touched);
  deepEqual((await store.list({ userId: "bob" })).sessions, [{ handle: "anonymous", ...touched }]);
  equal(await store.load("new"), undefined);
  deepEqual((await store.list({})).sessions.map(({ handle }) => handle).toSorted(), ["anonymous", "other"]);
  deepEqual(left(), []);
});

test("a login that was stopped for long ends one that came first meanwhile", async (t) => {
  const { store, wasStopped, left } = stoppedLogin(t, async (other) => {
    deepEqual(await other.admit(login("other", "revoke-oldest")), { result: "ok", revoked: ["oldest"] });
  });
  await store.create("oldest", recordOf("ann"));
  deepEqual(await store.admit(login("new", "revoke-oldest")), { result: "ok", revoked: ["other"] });
  equal(wasStopped(), true);
  deepEqual(
    (await store.list({ userId: "ann" })).sessions.map(({ handle }) => handle),
    ["new"],
  );
  deepEqual(left(), []);
});

test("a login does not wait for one that was killed", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  for (const most of [3, 8]) {
    const store = new FileStore(join(folder, String(most)), { clock: new ManualClock() });
    await store.create("theirs", recordOf("bob"));
    equal((await liveFor(most, () => store.admit(login("killed", "refuse")))).isDone, false);
    // Another one, as of another process: calls of one process queue up.
    const next = new FileStore(join(folder, String(most)), { clock: new ManualClock() });
    deepEqual(await next.admit(login("new", "revoke-oldest")), { result: "ok", revoked: [] });
    equal(await next.count({ userId: "ann" }), 1);
    await next.close();
  }
});
