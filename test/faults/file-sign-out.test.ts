import { deepEqual, equal } from "node:assert/strict";
import disk from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { type TestContext, test } from "node:test";
import { FileStore } from "../../src/stores/file.ts";
import type { SessionRecord } from "../../src/stores/store.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { temporaryFolder } from "../stores/temporary-folder.ts";

const { readdir } = disk;

/** Two stores of one folder; what the other one does comes between a look at a user's list and what is done about it. */
function place(t: TestContext, meanwhile: (other: FileStore) => Promise<unknown>) {
  const { folder, remove } = temporaryFolder();
  const clock = new ManualClock();
  const [store, other] = [new FileStore(folder, { clock }), new FileStore(folder, { clock })];
  let looks = 0;
  async function looked(...call: Parameters<typeof readdir>) {
    const names = await readdir(...call);
    if (String(call[0]).includes("/users/") && looks++ === 0) await meanwhile(other);
    return names;
  }
  Object.assign(disk, { readdir: looked });
  syncBuiltinESMExports();
  t.after(async () => {
    Object.assign(disk, { readdir });
    syncBuiltinESMExports();
    await Promise.all([store.close(), other.close()]);
    remove();
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
