import assert from "node:assert/strict";
import { test } from "node:test";
import { leaveTombstone } from "../../src/contract/store.ts";
import { hashSecret } from "../../src/crypto/token.ts";
import { Events } from "../../src/session/events.ts";
import { endSession, findRotated, tombstoneOf } from "../../src/session/rotated-handles.ts";
import { StoreAccess } from "../../src/session/store-access.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

const secretHash = hashSecret("the old secret");

function place(...handles: string[]) {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const now = clock.now();
  const times = { createdAt: now, touchedAt: now, expiresAt: now + 600_000 };
  for (const handle of handles) {
    store.create(handle, { payload: "", version: 1, secretHash: "", userId: null, ...times });
  }
  const access = new StoreAccess(store, clock, { readMs: 1_000, commitMs: 1_000 }, new Events());
  const replace = (handle: string, successor: string, isSame = true) =>
    leaveTombstone(store, tombstoneOf({ handle, secretHash }, successor, isSame, clock.now()));
  return { access, store, clock, replace };
}

test("an end under an old handle ends the session under every handle that it was given since", async () => {
  const { access, store, replace } = place("second", "third", "fourth", "other");
  await replace("first", "second");
  await replace("first", "third");
  await replace("second", "fourth");
  assert.equal(await endSession(access, "first"), true);
  const left = ["second", "third", "fourth", "other"].filter((handle) => store.load(handle) !== undefined);
  // The second lived under its own name: what has a tombstone and lives was not replaced after all.
  assert.deepEqual(left, ["fourth", "other"]);
  assert.equal(await endSession(access, "second"), true);
  assert.equal(store.load("fourth"), undefined);
  assert.equal(await endSession(access, "first"), false, "there is none any more");
});

test("whichever of the handles was a session's, its end is one", async () => {
  for (const alive of ["first", "second", "third", "fourth"]) {
    const { access, replace } = place(alive);
    await replace("first", "second");
    await replace("first", "third");
    await replace("third", "fourth");
    assert.equal(await endSession(access, "first"), true, alive);
  }
});

test("a login is another session: who ends the one before does not end it", async () => {
  const { access, store, replace } = place("login");
  await replace("first", "login", false);
  assert.equal(await endSession(access, "first"), false);
  assert.ok(store.load("login"));
});

test("tombstones that lead in a circle end", async () => {
  const { access, replace } = place();
  await replace("first", "second");
  await replace("second", "first");
  assert.equal(await endSession(access, "first"), false);
});

test("a replacement counts for a minute, and its handle only for whoever has its secret", async () => {
  const { access, clock, replace } = place();
  const until = clock.now() + 60_000;
  await replace("first", "second");
  assert.deepEqual(await findRotated(access, { handle: "first", secretHash }), { handle: "first", until });
  const stranger = { handle: "first", secretHash: hashSecret("another secret") };
  assert.deepEqual(await findRotated(access, stranger), { handle: undefined, until });
  assert.equal(await findRotated(access, { handle: "second", secretHash }), undefined);
  clock.advance(60_000);
  assert.equal(await findRotated(access, { handle: "first", secretHash }), undefined);
});
