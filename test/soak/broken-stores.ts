import type { IndexedStore, SessionRecord } from "../../src/index.ts";

/** Mistakes that a store can make, each of which the checker must find. */
export const breakages = {
  "last-write-wins": 1,
  "says-conflict-after-writing": 2,
  resurrects: 3,
  "mixes-up": 4,
  "reads-old": 5,
  "ends-nothing": 6,
  forgets: 7,
} as const;
export type Breakage = keyof typeof breakages;

export function isBreakage(name: string): name is Breakage {
  return Object.hasOwn(breakages, name);
}

/** A store that is right most of the time. */
export function broken(store: IndexedStore, breakage: Breakage): IndexedStore {
  const own: Partial<IndexedStore> = mistakes(store)[breakage];
  return new Proxy(store, {
    get(target, name) {
      const mistaken: unknown = Reflect.get(own, name);
      if (mistaken !== undefined) return mistaken;
      // An answer on the spot would hide what only happens between two steps.
      if (name === "synchronousLoad") return false;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function mistakes(store: IndexedStore): Record<Breakage, Partial<IndexedStore>> {
  const old = new Map<string, SessionRecord>();
  let payload: string | undefined;
  let calls = 0;
  const nowAndThen = (often: number) => ++calls % often === 0;
  return {
    "last-write-wins": {
      async update(handle, record, expectedVersion) {
        const newest = await store.load(handle);
        const version = newest?.version ?? expectedVersion;
        return store.update(handle, record.expiresAt === 0 ? record : { ...record, version: version + 1 }, version);
      },
    },
    "says-conflict-after-writing": {
      async update(handle, record, expectedVersion) {
        const result = await store.update(handle, record, expectedVersion);
        return result === "ok" && record.expiresAt !== 0 && nowAndThen(20) ? "conflict" : result;
      },
    },
    resurrects: {
      async delete(handle) {
        const record = await store.load(handle);
        const deleted = await store.delete(handle);
        if (record !== undefined) old.set(handle, record);
        return deleted;
      },
      async load(handle) {
        return (await store.load(handle)) ?? (nowAndThen(2) ? old.get(handle) : undefined);
      },
    },
    "mixes-up": {
      async load(handle) {
        const record = await store.load(handle);
        if (record === undefined || !nowAndThen(40)) return record;
        const other = payload ?? record.payload;
        payload = record.payload;
        return { ...record, payload: other };
      },
    },
    "reads-old": {
      async load(handle) {
        const record = await store.load(handle);
        if (record === undefined) return undefined;
        const first = old.get(handle) ?? record;
        old.set(handle, first);
        return nowAndThen(5) ? first : record;
      },
    },
    "ends-nothing": {
      async update(handle, record, expectedVersion) {
        return record.expiresAt === 0 ? "ok" : store.update(handle, record, expectedVersion);
      },
      async replace(_handle, _expectedVersion, newHandle, record) {
        return (await store.create(newHandle, record)) ? "ok" : "taken";
      },
    },
    forgets: {
      async load(handle) {
        return nowAndThen(50) ? undefined : store.load(handle);
      },
    },
  };
}
