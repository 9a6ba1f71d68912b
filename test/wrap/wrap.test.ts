import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import type { IndexedStore, SessionRecord } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { faulty, gated, ManualClock, storeConformance } from "../../src/testing/index.ts";
import { resilient } from "../../src/wrap/resilient.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";
import { sixMethods } from "../support/six-methods.ts";

storeConformance({
  name: "a wrapped store",
  async open(clock) {
    const store = wrapStore(new MemoryStore({ clock }), {});
    return [store, store];
  },
});

/** An indexed store of somebody else's, which has no `admit`. The wrappers' types must know it as indexed. */
function withoutAdmit(store: MemoryStore): Omit<IndexedStore, "admit"> {
  return {
    load: (handle) => store.load(handle),
    create: (handle, record) => store.create(handle, record),
    update: (handle, record, version) => store.update(handle, record, version),
    touch: (handle, touchedAt, expiresAt) => store.touch(handle, touchedAt, expiresAt),
    delete: (handle) => store.delete(handle),
    replace: (handle, version, newHandle, record) => store.replace(handle, version, newHandle, record),
    close: () => store.close(),
    list: (query) => store.list(query),
    deleteAll: (query) => store.deleteAll(query),
    count: (query) => store.count(query),
    prune: (limit) => store.prune(limit),
  };
}

test("an indexed store without admit stays an indexed store by its type, whatever is around it", async () => {
  const store = withoutAdmit(new MemoryStore());
  equal(await wrapStore(store, {}).count(), 0);
  equal(await faulty(store).store.count(), 0);
  equal(await gated(store).store.count(), 0);
  equal(await resilient(store).count(), 0);
});

const clock = new ManualClock();
const record: SessionRecord = {
  payload: "payload",
  version: 1,
  secretHash: "hash",
  userId: null,
  createdAt: clock.now(),
  touchedAt: clock.now(),
  expiresAt: clock.now() + 60_000,
};

test("a wrapped store has the optional methods of the inner store, and no others", () => {
  const all = [
    "load",
    "create",
    "update",
    "touch",
    "delete",
    "close",
    "replace",
    "list",
    "deleteAll",
    "count",
    "prune",
    "admit",
  ];
  const methods = (store: object) => all.filter((name) => name in store);
  deepEqual(methods(wrapStore(new MemoryStore({ clock }), {})), all);
  deepEqual(methods(wrapStore(withoutAdmit(new MemoryStore({ clock })), {})), all.slice(0, -1));
  deepEqual(methods(wrapStore(sixMethods(new MemoryStore({ clock })), {})), all.slice(0, 6));
});

test("a wrapped store declares what the inner store declares now", () => {
  const inner = new MemoryStore({ clock });
  const store = wrapStore(inner, {});
  equal(store.synchronousLoad, true);
  equal(wrapStore(inner, { synchronousLoad: false }).synchronousLoad, false);
  equal(wrapStore(sixMethods(inner), {}).synchronousLoad, false);
  equal(store.capabilities, inner.capabilities);
  Object.defineProperty(inner, "capabilities", { value: undefined });
  equal(store.capabilities, undefined);
});

test("around gets each call's name and handles, and decides whether the store gets the call", () => {
  const calls: unknown[] = [];
  const store = wrapStore(new MemoryStore({ clock }), {
    around(operation, call, handles) {
      calls.push([operation, ...handles]);
      if (operation === "delete") throw new Error("refused");
      return call();
    },
  });
  equal(store.create("old", record), true);
  equal(store.replace?.("old", 1, "new", { ...record, secretHash: "other" }), "ok");
  throws(() => store.delete("new"), /refused/);
  equal(store.count(), 1);
  const session = { ...record, userId: "user", secretHash: "third", handle: "third" };
  const admission = { session, limit: 1, exceed: "refuse" } as const;
  deepEqual(store.admit?.(admission), { result: "ok", revoked: [] });
  const replaces = { handle: "third", expectedVersion: 1 };
  const next = { ...session, secretHash: "fourth", handle: "fourth" };
  deepEqual(store.admit?.({ ...admission, session: next, replaces }), { result: "ok", revoked: [] });
  deepEqual(calls, [
    ["create", "old"],
    ["replace", "old", "new"],
    ["delete", "new"],
    ["count"],
    ["admit", "third"],
    ["admit", "third", "fourth"],
  ]);
});

test("encode and decode change records on their way in and out", () => {
  const inner = new MemoryStore({ clock });
  const store = wrapStore(inner, {
    encode: (handle, given) => ({ ...given, payload: `${handle} ${given.payload}` }),
    decode: (handle, stored) => ({ ...stored, payload: stored.payload.replace(`${handle} `, "") }),
  });
  store.create("old", record);
  store.update("old", { ...record, version: 2 }, 1);
  deepEqual(inner.load("old"), { ...record, version: 2, payload: "old payload" });
  store.replace?.("old", 2, "new", { ...record, secretHash: "other" });
  equal(store.load("old"), undefined);
  deepEqual(inner.load("new"), { ...record, secretHash: "other", payload: "new payload" });
  deepEqual(store.load("new"), { ...record, secretHash: "other" });
  deepEqual(store.list({}), { sessions: [{ handle: "new", ...record, secretHash: "other" }] });
  const session = { ...record, userId: "user", secretHash: "third", handle: "third" };
  deepEqual(store.admit?.({ session, limit: 1, exceed: "refuse" }), { result: "ok", revoked: [] });
  equal(inner.load("third")?.payload, "third payload");
  deepEqual(store.load("third"), { ...record, userId: "user", secretHash: "third" });
});
