import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { isIndexed, type SessionRecord } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { gated, ManualClock } from "../../src/testing/index.ts";

const clock = new ManualClock();
const record: SessionRecord = {
  payload: "{}",
  version: 1,
  secretHash: "hash",
  userId: null,
  createdAt: clock.now(),
  touchedAt: clock.now(),
  expiresAt: clock.now() + 60_000,
};

test("without gates it is the store: plain values stay plain, and an indexed store is one", () => {
  const { store } = gated(new MemoryStore({ clock }));
  equal(store.create("handle", record), true);
  deepEqual(store.load("handle"), record);
  equal(store.update("handle", { ...record, version: 2 }, 1), "ok");
  equal(store.synchronousLoad, true);
  equal(isIndexed(store), true);
  equal(store.count(), 1);
  equal(store.capabilities?.atomicUpdate, true);
});

test("a call held before it reaches the store has done nothing until it is released", async () => {
  const inner = new MemoryStore({ clock });
  const { store, hold } = gated(inner);
  const gate = hold("create", "before");
  const creating = store.create("handle", record);
  await gate.reached;
  equal(inner.load("handle"), undefined);
  gate.release();
  equal(await creating, true);
  deepEqual(inner.load("handle"), record);
});

test("a call held after the store has done it has taken effect, and is answered when released", async () => {
  const inner = new MemoryStore({ clock });
  const { store, hold } = gated(inner);
  const gate = hold("create", "after");
  let answered = false;
  const creating = Promise.resolve(store.create("handle", record)).then((created) => {
    answered = true;
    return created;
  });
  await gate.reached;
  deepEqual(inner.load("handle"), record);
  equal(answered, false);
  gate.release();
  equal(await creating, true);
});

test("the second call can be held while the first and the third pass", async () => {
  const { store, hold } = gated(new MemoryStore({ clock }));
  store.create("handle", record);
  const gate = hold("update", "before", 2);
  equal(store.update("handle", { ...record, version: 2 }, 1), "ok");
  const held = store.update("handle", { ...record, version: 3 }, 2);
  await gate.reached;
  equal(store.update("handle", { ...record, version: 3, payload: "third" }, 2), "ok");
  gate.release();
  equal(await held, "conflict");
});

test("held calls can be released in any order, and in advance", async () => {
  const inner = new MemoryStore({ clock });
  const { store, hold } = gated(inner);
  store.create("handle", record);
  const updating = hold("update", "before");
  const deleting = hold("delete", "before");
  const update = store.update("handle", { ...record, version: 2 }, 1);
  const deletion = store.delete("handle");
  await Promise.all([updating.reached, deleting.reached]);
  deleting.release();
  equal(await deletion, true);
  updating.release();
  equal(await update, "gone");

  const touching = hold("touch", "after");
  touching.release();
  equal(await store.touch("handle", 1, 2), false);
});

test("the load of a synchronous store can't be held, unless it is shown as one whose loads take a while", async () => {
  const inner = new MemoryStore({ clock });
  throws(() => gated(inner).hold("load", "before"), { name: "TypeError", message: /synchronousLoad: false/ });
  const { store, hold } = gated(inner, { synchronousLoad: false });
  equal(store.synchronousLoad, false);
  inner.create("handle", record);
  const gate = hold("load", "after");
  const loading = store.load("handle");
  await gate.reached;
  inner.delete("handle");
  gate.release();
  deepEqual(await loading, record, "what was read before the deletion");
});
