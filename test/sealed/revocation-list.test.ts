import assert from "node:assert/strict";
import { test } from "node:test";
import type { IndexedStore, SessionRecord } from "../../src/contract/store.ts";
import { RevocationList } from "../../src/sealed/revocation-list.ts";
import { Events } from "../../src/session/events.ts";
import { StoreAccess } from "../../src/session/store-access.ts";
import { timeouts } from "../../src/session/timeouts.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { ProbeStore } from "../support/probe-store.ts";

const limits = timeouts({});

function endings(store: IndexedStore, clock: ManualClock): RevocationList {
  return new RevocationList(
    new StoreAccess(store, clock, { readMs: 1_000, commitMs: 1_000 }, new Events()),
    clock,
    limits,
  );
}

/** A session of alice's. */
function sessionAt(createdAt: number): SessionRecord {
  return {
    payload: "[0]\n",
    version: 1,
    secretHash: "",
    userId: "alice",
    createdAt,
    touchedAt: createdAt,
    expiresAt: createdAt + 1e6,
  };
}

test("a later end of all sessions from a machine whose clock is behind never undoes an earlier one", async () => {
  const clock = new ManualClock();
  const behind = new ManualClock(clock.now() - 30_000);
  const store = new MemoryStore({ clock });
  const [one, other] = [endings(store, clock), endings(store, behind)];
  const session = sessionAt(clock.now() - 1);
  await one.endUser("alice", undefined);
  assert.equal(await one.includes("phone", session), true);
  await other.endUser("alice", undefined);
  assert.equal(await one.includes("phone", session), true);
  const since = sessionAt(await one.beginning(sessionAt(clock.now())));
  assert.equal(await one.includes("laptop", since), false, "one that began since");
});

test("a list of endings that can't be read ends all that began before it was written", async () => {
  const clock = new ManualClock();
  let name = "";
  class Seen extends MemoryStore {
    override create(handle: string, record: SessionRecord) {
      name = handle;
      return super.create(handle, record);
    }
  }
  const store = new Seen({ clock });
  const one = endings(store, clock);
  for (const payload of ["", "junk", "[]", "{}", "null", '["soon",""]', "[1]", "[1,2]"]) {
    await one.endUser("alice", "laptop");
    const there = store.load(name) ?? assert.fail();
    assert.equal(store.update(name, { ...there, payload, version: there.version + 1 }, there.version), "ok");
    for (const handle of ["phone", "laptop"]) {
      assert.equal(await one.includes(handle, sessionAt(clock.now())), true, `${handle}: ${payload}`);
      const since = sessionAt(await one.beginning(sessionAt(clock.now())));
      assert.equal(await one.includes(handle, since), false, `${handle}, later: ${payload}`);
    }
  }
});

test("an excepted session that ended later is not excepted again under its next handle", async () => {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock });
  const probe = new ProbeStore(inner, { async: true });
  const one = endings(probe.store, clock);
  const session = sessionAt(clock.now());
  await one.endUser("alice", "phone");
  const gate = probe.gate("update");
  const renaming = one.rename("alice", "phone", { handle: "phone 2", createdAt: session.createdAt });
  await gate.arrived();
  // Meanwhile, on another machine.
  await endings(inner, clock).endUser("alice", "laptop");
  gate.open();
  await renaming;
  assert.equal(await one.includes("phone 2", session), true);
  assert.equal(await one.includes("laptop", session), false);
});
