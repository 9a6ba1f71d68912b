import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import type { SessionRecord } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { faulty, ManualClock } from "../../src/testing/index.ts";
import { sixMethods } from "../support/six-methods.ts";

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

function wrapped() {
  const inner = new MemoryStore({ clock });
  inner.create("handle", record);
  return { inner, ...faulty(inner, { clock, synchronousLoad: false }) };
}

/** Whether it is answered once everything that can happen now has happened. */
async function isAnswered(answer: unknown): Promise<boolean> {
  let answered = false;
  const note = () => {
    answered = true;
  };
  Promise.resolve(answer).then(note, note);
  await new Promise(setImmediate);
  return answered;
}

test("without faults it is the store", async () => {
  const { store, calls } = wrapped();
  deepEqual(await store.load("handle"), record);
  equal(await store.count(), 1);
  deepEqual(calls, ["load", "count"]);
});

test("error: never reaches the store", async () => {
  const { store, inner, fail } = wrapped();
  fail("delete", { kind: "error" });
  fail("delete", { kind: "error", error: new RangeError("mine") });
  await rejects(async () => store.delete("handle"), { code: "STORE_UNAVAILABLE" });
  await rejects(async () => store.delete("handle"), RangeError);
  deepEqual(inner.load("handle"), record);
  equal(await store.delete("handle"), true);
});

test("delay: reaches the store later", async () => {
  const { store, inner, fail } = wrapped();
  fail("delete", { kind: "delay", ms: 900 });
  const deleting = store.delete("handle");
  clock.advance(899);
  equal(await isAnswered(deleting), false);
  deepEqual(inner.load("handle"), record);
  clock.advance(1);
  equal(await deleting, true);
});

test("hang: never reaches the store and is never answered", async () => {
  const { store, inner, fail } = wrapped();
  fail("delete", { kind: "hang" });
  equal(await isAnswered(store.delete("handle")), false);
  deepEqual(inner.load("handle"), record);
});

test("lost reply: done, and reported as failed", async () => {
  const { store, inner, fail } = wrapped();
  fail("delete", { kind: "lost reply" });
  await rejects(async () => store.delete("handle"), { code: "STORE_UNAVAILABLE" });
  equal(inner.load("handle"), undefined);
});

test("no reply: done, and never answered", async () => {
  const { store, inner, fail } = wrapped();
  fail("delete", { kind: "no reply" });
  equal(await isAnswered(store.delete("handle")), false);
  equal(inner.load("handle"), undefined);
});

test("duplicate: done twice, and the second answer is given", async () => {
  const { store, inner, fail } = wrapped();
  fail("update", { kind: "duplicate" });
  const next = { ...record, version: 2 };
  equal(await store.update("handle", next, 1), "conflict");
  deepEqual(inner.load("handle"), next);
});

test("any call, as often as asked for, in the order asked for, until healed", async () => {
  const { store, fail, heal } = wrapped();
  fail("any", { kind: "error" }, 2);
  fail("load", { kind: "error", error: new RangeError("third") });
  await rejects(async () => store.load("handle"), { code: "STORE_UNAVAILABLE" });
  await rejects(async () => store.count(), { code: "STORE_UNAVAILABLE" });
  await rejects(async () => store.load("handle"), RangeError);
  fail("any", { kind: "error" }, Number.POSITIVE_INFINITY);
  for (let n = 0; n < 5; n++) await rejects(async () => store.load("handle"));
  heal();
  deepEqual(await store.load("handle"), record);
});

test("the load of a synchronous store can throw, and can't be kept waiting", () => {
  const { store, fail } = faulty(new MemoryStore({ clock }));
  fail("load", { kind: "error" });
  throws(() => store.load("handle"), { code: "STORE_UNAVAILABLE" });
  for (const operation of ["load", "any"] as const) throws(() => fail(operation, { kind: "hang" }), TypeError);
});

test("a store that is not indexed does not become one", () => {
  const inner = new MemoryStore({ clock });
  equal("list" in faulty(sixMethods(inner)).store, false);
  equal("list" in faulty(inner).store, true);
});
