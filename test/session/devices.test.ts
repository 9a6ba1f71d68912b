import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IndexedStore } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { engine } from "../support/contexts.ts";

describe("list, count and get show what requests open", () => {
  for (const [limits, afterMs] of [
    [{ idleTimeout: "1m" }, 60_000],
    [{ idleTimeout: "1m", absoluteTimeout: "2m" }, 120_000],
  ] as const) {
    test(`and no session that a shortened timeout has ended: ${JSON.stringify(limits)}`, async () => {
      const clock = new ManualClock();
      const store = new MemoryStore({ clock });
      const before = engine({ clock, store, limits: { idleTimeout: "1h", absoluteTimeout: "1d" } });
      const visit = await before.request();
      await visit.session.login("ada");
      const held = await visit.end();
      assert.ok(held !== undefined);
      const after = engine({ clock, store, limits });
      const shown = async () => [
        (await after.request(held)).wasOpened,
        (await after.admin.list("ada")).length === 1,
        (await after.admin.count("ada")) === 1,
        (await after.admin.get(held.handle)) !== undefined,
      ];
      assert.deepEqual(await shown(), [true, true, true, true]);
      clock.advance(afterMs);
      assert.deepEqual(await shown(), [false, false, false, false]);
      assert.equal((await before.admin.list("ada")).length, 1);
    });
  }

  test("and no damaged one", async () => {
    const clock = new ManualClock();
    const store: IndexedStore = new MemoryStore({ clock });
    const { admin, request } = engine({ clock, store });
    const visit = await request();
    await visit.session.login("ada");
    const held = await visit.end();
    const record = await store.load(held?.handle ?? "");
    assert.ok(held !== undefined && record !== undefined);
    await store.update(held.handle, { ...record, payload: "damaged", version: record.version + 1 }, record.version);
    assert.equal((await request(held)).wasOpened, false);
    assert.deepEqual(await admin.list("ada"), []);
    assert.equal(await admin.count("ada"), 0);
    assert.equal(await admin.revokeAll("ada"), 1);
  });
});

test("a user ID with half a surrogate pair is refused, because its hash would be another user's", async () => {
  await refusesUsers(["\ud800", "ada\udfff"], /half a surrogate pair/);
  const { request } = engine();
  const visit = await request();
  await visit.session.login("ada \ud83d\ude00");
  assert.equal(visit.session.userId, "ada \ud83d\ude00");
});

test("a user ID with a NUL character is refused, because some databases cut a text off there", async () => {
  await refusesUsers(["\0", "ada\0", "ada\0bob"], /userId must not contain a NUL character/);
});

test("a user ID and a link at once are refused, because only one of them could select", async () => {
  const { admin } = engine();
  const both = { userId: "ada", link: "sid" };
  const refused = { name: "TypeError", message: /give a userId or \{ link \}, not both/ };
  await assert.rejects(async () => admin.list(both), refused);
  await assert.rejects(async () => admin.count(both), refused);
  await assert.rejects(async () => admin.revokeAll(both), refused);
});

async function refusesUsers(userIds: readonly string[], message: RegExp): Promise<void> {
  const { admin, request } = engine();
  const visit = await request();
  const refused = { name: "TypeError", message };
  for (const userId of userIds) {
    await assert.rejects(async () => visit.session.login(userId), refused);
    await assert.rejects(() => admin.list(userId), refused);
    await assert.rejects(() => admin.count(userId), refused);
    await assert.rejects(() => admin.revokeAll(userId), refused);
    await assert.rejects(() => admin.revoke("AAAAAAAAAAAAAAAAAAAAAA", { userId }), refused);
  }
  assert.equal(visit.session.userId, null);
}
