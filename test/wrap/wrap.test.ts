import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import type { SessionRecord } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock, storeConformance } from "../../src/testing/index.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";
import { sixMethods } from "../support/six-methods.ts";

storeConformance({
  name: "a wrapped store",
  async open(clock) {
    const store = wrapStore(new MemoryStore({ clock }), {});
    return [store, store];
  },
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
  ];
  const methods = (store: object) => all.filter((name) => name in store);
  deepEqual(methods(wrapStore(new MemoryStore({ clock }), {})), all);
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
  deepEqual(calls, [["create", "old"], ["replace", "old", "new"], ["delete", "new"], ["count"]]);
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
});
