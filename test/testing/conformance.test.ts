import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import type {
  IndexedStore,
  ReplaceResult,
  SessionPage,
  SessionRecord,
  SessionStore,
  UpdateResult,
} from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { conformanceGroups, examine } from "../../src/testing/conformance.ts";
import type { ManualClock } from "../../src/testing/index.ts";

/** Stores with one mistake each, as libraries have made them, and the group of checks that must notice. */
const mistakes: Readonly<
  Record<string, { noticedBy: string; store: new (options: { clock: ManualClock }) => SessionStore }>
> = {
  "an update that compares no version": {
    noticedBy: "compare and set",
    store: class extends MemoryStore {
      override update(handle: string, record: SessionRecord): UpdateResult {
        const current = this.load(handle);
        return current === undefined ? "gone" : super.update(handle, record, current.version);
      }
    },
  },
  "an update that creates": {
    noticedBy: "gone",
    store: class extends MemoryStore {
      override update(handle: string, record: SessionRecord, expectedVersion: number): UpdateResult {
        return this.create(handle, record) ? "ok" : super.update(handle, record, expectedVersion);
      }
    },
  },
  "a touch that creates": {
    noticedBy: "identity",
    store: class extends MemoryStore {
      override touch(handle: string, touchedAt: number, expiresAt: number): boolean {
        const empty = { payload: "{}", version: 1, secretHash: "", userId: null, createdAt: touchedAt };
        return this.create(handle, { ...empty, touchedAt, expiresAt }) || super.touch(handle, touchedAt, expiresAt);
      }
    },
  },
  "a create that overwrites": {
    noticedBy: "identity",
    store: class extends MemoryStore {
      override create(handle: string, record: SessionRecord): boolean {
        this.delete(handle);
        return super.create(handle, record);
      }
    },
  },
  "a session that lives one millisecond too long": {
    noticedBy: "time",
    store: class extends MemoryStore {
      #loading = false;
      constructor({ clock }: { clock: ManualClock }) {
        const now = () => clock.now() - (this.#loading ? 1 : 0);
        super({ clock: { now, after: (ms, action) => clock.after(ms, action) } });
      }
      override load(handle: string): SessionRecord | undefined {
        this.#loading = true;
        const record = super.load(handle);
        this.#loading = false;
        return record;
      }
    },
  },
  "a touch that moves the end backwards": {
    noticedBy: "time",
    store: class extends MemoryStore {
      override touch(handle: string, touchedAt: number, expiresAt: number): boolean {
        const record = this.load(handle);
        if (record === undefined) return false;
        return super.update(handle, { ...record, touchedAt, expiresAt }, record.version) === "ok";
      }
    },
  },
  "a payload that is trimmed": {
    noticedBy: "basics",
    store: class extends MemoryStore {
      override create(handle: string, record: SessionRecord): boolean {
        return super.create(handle, { ...record, payload: record.payload.trim() });
      }
    },
  },
  "a record that is shared with whoever loads it": {
    noticedBy: "basics",
    store: class extends MemoryStore {
      readonly #shared = new Map<string, SessionRecord>();
      override load(handle: string): SessionRecord | undefined {
        const record = super.load(handle);
        if (record === undefined) return undefined;
        const shared = this.#shared.get(handle) ?? record;
        this.#shared.set(handle, shared);
        return shared;
      }
    },
  },
  "a delete that always says yes": {
    noticedBy: "gone",
    store: class extends MemoryStore {
      override delete(handle: string): true {
        super.delete(handle);
        return true;
      }
    },
  },
  "a replace that compares no version": {
    noticedBy: "replace",
    store: class extends MemoryStore {
      override replace(handle: string, _version: number, newHandle: string, record: SessionRecord): ReplaceResult {
        return super.replace(handle, this.load(handle)?.version ?? 0, newHandle, record);
      }
    },
  },
  "a replace that stores the new record though the old one is gone": {
    noticedBy: "replace",
    store: class extends MemoryStore {
      override replace(handle: string, version: number, newHandle: string, record: SessionRecord): ReplaceResult {
        const result = super.replace(handle, version, newHandle, record);
        if (result === "gone") this.create(newHandle, record);
        return result;
      }
    },
  },
  "a replace that leaves the session with the user that it had": {
    noticedBy: "replace",
    store: class extends MemoryStore {
      override replace(handle: string, version: number, newHandle: string, record: SessionRecord): ReplaceResult {
        return super.replace(handle, version, newHandle, { ...record, userId: this.load(handle)?.userId ?? null });
      }
    },
  },
  "a note that is listed": {
    noticedBy: "notes",
    store: class extends MemoryStore {
      override list(query: { userId?: string; cursor?: string; limit?: number }): SessionPage {
        const page = super.list(query);
        const noted = this.load("!used:11");
        return noted === undefined ? page : { ...page, sessions: [...page.sessions, { handle: "!used:11", ...noted }] };
      }
    },
  },
  "a replace that leaves no tombstone": {
    noticedBy: "notes",
    store: class extends MemoryStore {
      override replace(handle: string, version: number, newHandle: string, record: SessionRecord): ReplaceResult {
        return super.replace(handle, version, newHandle, record);
      }
    },
  },
  "a list in the wrong order": {
    noticedBy: "index",
    store: class extends MemoryStore {
      override list(query: Parameters<IndexedStore["list"]>[0]) {
        const page = super.list(query);
        return { ...page, sessions: page.sessions.toReversed() };
      }
    },
  },
  "a cursor that repeats the last session of the page": {
    noticedBy: "index",
    store: class extends MemoryStore {
      override list(query: Parameters<IndexedStore["list"]>[0]) {
        const { sessions, cursor } = super.list({ ...query, limit: (query.limit ?? 100) + 1 });
        const page = sessions.slice(0, query.limit ?? 100);
        return cursor === undefined ? { sessions: page } : { sessions: page, cursor };
      }
    },
  },
  "a user's name that is compared without regard to case": {
    noticedBy: "index",
    store: class extends MemoryStore {
      override count(query: { userId?: string } = {}): number {
        if (query.userId === undefined) return super.count();
        const mine = query.userId.toLowerCase();
        return super.list({}).sessions.filter(({ userId }) => userId?.toLowerCase() === mine).length;
      }
    },
  },
  "a sign-out of everyone that spares nobody": {
    noticedBy: "bulk",
    store: class extends MemoryStore {
      override deleteAll(query: { userId?: string; except?: string }): number {
        const { except: _, ...everyone } = query;
        return super.deleteAll(everyone);
      }
    },
  },
  "a prune that goes by the first end of a session": {
    noticedBy: "prune",
    store: class extends MemoryStore {
      readonly #ends = new Map<string, number>();
      readonly #clock: ManualClock;
      constructor({ clock }: { clock: ManualClock }) {
        super({ clock });
        this.#clock = clock;
      }
      override create(handle: string, record: SessionRecord): boolean {
        this.#ends.set(handle, record.expiresAt);
        return super.create(handle, record);
      }
      override prune(): number {
        const due = [...this.#ends].filter(([, end]) => end <= this.#clock.now());
        for (const [handle] of due) this.#ends.delete(handle);
        return due.filter(([handle]) => this.delete(handle)).length;
      }
    },
  },
  "a closed store that says there is nothing": {
    noticedBy: "close",
    store: class extends MemoryStore {
      #closed = false;
      override load(handle: string): SessionRecord | undefined {
        return this.#closed ? undefined : super.load(handle);
      }
      override close(): void {
        this.#closed = true;
        super.close();
      }
    },
  },
};

for (const [name, { noticedBy, store: Store }] of Object.entries(mistakes)) {
  test(`the suite notices ${name}`, async () => {
    const groups = await groupsFailedBy(Store);
    ok(groups.has(noticedBy), `noticed by: ${[...groups].join(", ") || "nobody"}`);
  });
}

test("the suite finds nothing wrong with a store that is right", async () => {
  deepEqual(await groupsFailedBy(MemoryStore), new Set());
});

async function groupsFailedBy(Store: new (options: { clock: ManualClock }) => SessionStore): Promise<Set<string>> {
  const failed = new Set<string>();
  const target = {
    name: "a store with a mistake",
    open: async (clock: ManualClock) => {
      const store = new Store({ clock });
      return [store, store] as const;
    },
  };
  for (const [group, checks] of conformanceGroups) {
    for (const check of checks) {
      try {
        await examine(target, check, () => {});
      } catch {
        failed.add(group);
      }
    }
  }
  return failed;
}
