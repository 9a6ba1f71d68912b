import assert from "node:assert/strict";
import { test } from "node:test";
import { Events } from "../../src/core/events.ts";
import { StoreAccess } from "../../src/core/store-access.ts";
import { Superseded } from "../../src/core/superseded.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

function place(...handles: string[]) {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const now = clock.now();
  const times = { createdAt: now, touchedAt: now, expiresAt: now + 1_000 };
  for (const handle of handles) {
    store.create(handle, { payload: "", version: 1, secretHash: "", userId: null, ...times });
  }
  const access = new StoreAccess(store, clock, { readMs: 1_000, commitMs: 1_000 }, new Events());
  return { superseded: new Superseded(), access, store, now };
}

test("who takes a replacement back takes nobody else's back, in whatever order", () => {
  for (const order of [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ]) {
    const { superseded, now } = place();
    const notes = [0, 1, 2].map((ms) => superseded.add("handle", now + ms));
    for (const [position, number] of order.entries()) {
      assert.equal(superseded.has("handle"), true, `${order}, ${position}`);
      superseded.remove("handle", notes[number] ?? assert.fail());
    }
    assert.equal(superseded.has("handle"), false, String(order));
  }
});

test("an end under an old handle ends the session under every handle that it was given since", async () => {
  for (const isTakenBack of [false, true]) {
    const { superseded, access, store, now } = place("second", "third", "fourth", "other");
    const note = (handle: string, heir: string) => {
      const made = superseded.add(handle, now);
      made.heir = heir;
      return made;
    };
    note("first", "second");
    const wrong = note("first", "other");
    note("first", "third");
    note("second", "fourth");
    if (isTakenBack) superseded.remove("first", wrong);
    assert.equal(await superseded.end(access, "first"), true);
    const left = ["second", "third", "fourth", "other"].filter((handle) => store.load(handle) !== undefined);
    assert.deepEqual(left, isTakenBack ? ["other"] : []);
    assert.equal(await superseded.end(access, "first"), false, "there is none any more");
  }
});

test("whichever of the handles was a session's, its end is one", async () => {
  for (const alive of ["first", "second", "third"]) {
    const { superseded, access, now } = place(alive);
    superseded.add("first", now).heir = "second";
    superseded.add("first", now).heir = "third";
    assert.equal(await superseded.end(access, "first"), true, alive);
  }
});

test("the last thousand replacements are remembered, each for a minute as a recent one", () => {
  const { superseded, now } = place();
  for (let number = 0; number < 1_001; number += 1) superseded.add(`handle ${number}`, now);
  assert.equal(superseded.has("handle 0"), false);
  assert.equal(superseded.has("handle 1"), true);
  assert.equal(superseded.isRecent("handle 1", now + 59_999), true);
  assert.equal(superseded.isRecent("handle 1", now + 60_000), false);
  assert.equal(superseded.isRecent("handle 0", now), false);
});
