import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isNote, type SessionRecord, type StoredSession } from "../../src/contract/store.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/index.ts";

const MAX_ENTRIES = 12;
const MAX_BYTES = 420;
const LIFE_MS = 100;
const NAMES = ["a", "b", "c", "d", "handle5", "handle6", "handle7", "!note", "!used", "ü", "Ā"];
const USERS = [null, null, "ann", "bob", "Ā"];
const PAYLOADS = ["", "{}", "x".repeat(50), "x".repeat(150), "x".repeat(280), "Ā".repeat(40), "x".repeat(420)];

type Stored = StoredSession & { order: number };

/** What the store promises, as simply as can be: a list, sorted and searched anew each time. */
class Model {
  entries: Stored[] = [];
  evicted: string[] = [];
  #writes = 0;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  get live(): Stored[] {
    return this.entries.filter(({ expiresAt }) => expiresAt > this.#clock.now());
  }

  get sessions(): Stored[] {
    return this.live.filter(({ handle }) => !isNote(handle));
  }

  find(handle: string): Stored | undefined {
    return this.live.find((entry) => entry.handle === handle);
  }

  put(handle: string, record: SessionRecord): void {
    this.remove(handle);
    this.entries.push({ ...record, handle, order: ++this.#writes });
  }

  update(entry: Stored, record: SessionRecord): void {
    Object.assign(entry, record, { order: ++this.#writes });
  }

  touch(entry: Stored, touchedAt: number, expiresAt: number): void {
    entry.touchedAt = Math.max(entry.touchedAt, touchedAt);
    entry.expiresAt = Math.max(entry.expiresAt, expiresAt);
    entry.order = ++this.#writes;
  }

  remove(handle: string): void {
    this.entries = this.entries.filter((entry) => entry.handle !== handle);
  }

  /** Whether there is room for so much more, after sessions other than this one were evicted for it. */
  makeRoom(entries: number, bytes: number, writing?: Stored): boolean {
    const isOver = (kept: Stored[]) =>
      kept.length + entries > MAX_ENTRIES || kept.reduce((sum, entry) => sum + bytesOf(entry), bytes) > MAX_BYTES;
    if (!isOver(this.entries)) return true;
    // Expired ones go first, and only as far as they must: which of them are left nobody can see.
    if (!isOver(this.live)) return true;
    if (isOver(this.live.filter((entry) => isNote(entry.handle) || entry === writing))) return false;
    const victims = this.sessions
      .filter((entry) => entry !== writing)
      .sort(
        (a, b) =>
          Number(a.userId !== null) - Number(b.userId !== null) || a.touchedAt - b.touchedAt || a.order - b.order,
      );
    for (const { handle } of victims) {
      if (!isOver(this.live)) break;
      this.evicted.push(handle);
      this.remove(handle);
    }
    return true;
  }

  /** A user's sessions but one, the one whose use is oldest first; of the same time, the one that was added first. */
  of(userId: string, except: Stored | undefined): Stored[] {
    return this.sessions
      .filter((entry) => entry.userId === userId && entry !== except)
      .sort((a, b) => a.touchedAt - b.touchedAt);
  }

  list(userId?: string): string[] {
    return this.sessions
      .filter((entry) => userId === undefined || entry.userId === userId)
      .sort((a, b) => b.touchedAt - a.touchedAt || (a.handle < b.handle ? -1 : 1))
      .map(({ handle }) => handle);
  }
}

function bytesOf({ handle, userId, secretHash, payload }: StoredSession): number {
  const bytes = (text: string) => (/[\u0100-\uffff]/.test(text) ? 2 : 1) * text.length;
  return bytes(handle) + bytes(userId ?? "") + bytes(secretHash + payload);
}

const handles = fc.constantFrom(...NAMES);
const steps = fc.record({
  what: fc.constantFrom(
    ...["create", "create", "create", "update", "update", "touch", "replace", "replace", "admit", "admit"],
    ...["delete", "end", "prune", "wait"],
  ),
  handle: handles,
  other: handles,
  payload: fc.constantFrom(...PAYLOADS),
  userId: fc.constantFrom(...USERS),
  ageMs: fc.constantFrom(0, 0, 0, 1, 3, 50),
  lifeMs: fc.constantFrom(LIFE_MS, LIFE_MS, 7, 1_000, 0),
  versionOff: fc.constantFrom(0, 0, 0, 1),
  waitMs: fc.constantFrom(0, 0, 0, 1, 5),
});
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

/** Does one step to both, and compares what they say. */
function play(store: MemoryStore, model: Model, clock: ManualClock, step: Step): void {
  const { what, handle, other, payload, userId, lifeMs, versionOff } = step;
  clock.advance(what === "wait" ? LIFE_MS / 2 : step.waitMs);
  const now = clock.now();
  const known = model.find(handle);
  const version = (known?.version ?? 1) + versionOff;
  const times = { createdAt: now - step.ageMs, touchedAt: now - step.ageMs, expiresAt: now + lifeMs };
  const fresh: SessionRecord = { payload, version: 1, secretHash: "hash", userId, ...times };
  const next = { ...fresh, userId: known?.userId ?? null, version: version + 1 };
  const tooLarge = (name: string, record: SessionRecord) => bytesOf({ handle: name, ...record }) > MAX_BYTES;
  const outcome = (work: () => unknown) => {
    try {
      return work();
    } catch (error) {
      return error instanceof Error && "code" in error ? error.code : error;
    }
  };
  if (what === "create") {
    const expected = () => {
      if (known !== undefined) return false;
      if (tooLarge(handle, fresh)) return "TOO_LARGE";
      model.remove(handle);
      if (!model.makeRoom(1, bytesOf({ handle, ...fresh }))) return "STORE_FULL";
      model.put(handle, fresh);
      return true;
    };
    equal(
      outcome(() => store.create(handle, { ...fresh })),
      expected(),
    );
  } else if (what === "update") {
    const expected = () => {
      if (known === undefined) return "gone";
      if (known.version !== version) return "conflict";
      if (tooLarge(handle, next)) return "TOO_LARGE";
      const growth = bytesOf({ handle, ...next }) - bytesOf(known);
      if (growth > 0 && !model.makeRoom(0, growth, known)) return "STORE_FULL";
      model.update(known, next);
      return "ok";
    };
    equal(
      outcome(() => store.update(handle, { ...next }, version)),
      expected(),
    );
  } else if (what === "touch") {
    equal(store.touch(handle, times.touchedAt, times.expiresAt), known !== undefined);
    if (known !== undefined) model.touch(known, times.touchedAt, times.expiresAt);
  } else if (what === "delete") {
    equal(store.delete(handle), known !== undefined);
    model.remove(handle);
  } else if (what === "replace" && !isNote(handle) && !isNote(other)) {
    const note = { handle: `!${handle}`, ...fresh, userId: null, payload: other };
    const expected = () => {
      if (known === undefined) return "gone";
      if (known.version !== version) return "conflict";
      if (model.find(other) !== undefined) return "taken";
      if (tooLarge(other, fresh)) return "TOO_LARGE";
      const growth = Math.max(0, bytesOf({ handle: other, ...fresh }) - bytesOf(known));
      if (!model.makeRoom(1, growth + bytesOf(note), known)) return "STORE_FULL";
      model.put(note.handle, note);
      model.remove(handle);
      model.put(other, fresh);
      return "ok";
    };
    equal(
      outcome(() => store.replace(handle, version, other, { ...fresh }, note)),
      expected(),
    );
  } else if (what === "admit" && !isNote(handle) && !isNote(other) && userId !== null) {
    const isReplacing = versionOff === 0 && known !== undefined;
    const session = { handle: other, ...fresh, secretHash: `new ${other}` };
    const exceed = payload === "" ? "refuse" : "revoke-oldest";
    const replaces = isReplacing && { replaces: { handle, expectedVersion: version } };
    const expected = () => {
      const there = model.find(other);
      if (there?.secretHash === session.secretHash) return { result: "ok", revoked: [] };
      if (there !== undefined) return { result: "taken" };
      if (tooLarge(other, session)) return "TOO_LARGE";
      const old = isReplacing ? known : undefined;
      const isOver = () => model.of(userId, old).length >= 2;
      if (exceed === "refuse" && isOver()) return { result: "limit" };
      const growth = Math.max(0, bytesOf(session) - (old === undefined ? 0 : bytesOf(old)));
      if (!model.makeRoom(old === undefined ? 1 : 0, growth, old)) return "STORE_FULL";
      const revoked = model.of(userId, old).slice(0, Math.max(0, model.of(userId, old).length - 1));
      if (old !== undefined) model.remove(handle);
      model.put(other, session);
      for (const entry of revoked) model.remove(entry.handle);
      return { result: "ok", revoked: revoked.map((entry) => entry.handle) };
    };
    deepEqual(
      outcome(() => store.admit({ session, limit: 2, exceed, ...replaces })),
      expected(),
    );
  } else if (what === "end") {
    const mine = model.sessions.filter((entry) => userId === null || entry.userId === userId);
    const ended = mine.filter((entry) => entry.handle !== other);
    equal(store.deleteAll({ except: other, ...(userId !== null && { userId }) }), ended.length);
    for (const entry of ended) model.remove(entry.handle);
  } else if (what === "prune") {
    store.prune();
    equal(store.count(), model.sessions.length);
  }
}

function compare(store: MemoryStore, model: Model, limit: number): void {
  for (const userId of [undefined, "ann", "bob", "Ā"]) {
    const query = userId === undefined ? {} : { userId };
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = store.list({ ...query, limit, ...(cursor !== undefined && { cursor }) });
      listed.push(...page.sessions.map(({ handle }) => handle));
      cursor = page.cursor;
    } while (cursor !== undefined);
    // Everyone's are in an order of the store's own.
    if (userId === undefined) deepEqual(listed.toSorted(), model.list().toSorted());
    else deepEqual(listed, model.list(userId));
    const count = store.count(query);
    if (userId === undefined) ok(count >= listed.length);
    else equal(count, listed.length);
  }
  for (const handle of [...NAMES, ...NAMES.map((name) => `!${name}`)]) {
    const known = model.find(handle);
    const { order: _, handle: __, ...record } = known ?? {};
    deepEqual(store.load(handle), known && record);
  }
}

test("the store does what a list that is sorted and searched each time does: bounds, eviction, users, pages", async () => {
  const programs = fc.array(steps, { minLength: 20, maxLength: 120 });
  await fc.assert(
    fc.asyncProperty(programs, fc.integer({ min: 1, max: 5 }), async (program, limit) => {
      const clock = new ManualClock();
      const evicted: string[] = [];
      const onEvict = ({ handle }: { handle: string }) => evicted.push(handle);
      const store = new MemoryStore({ clock, maxEntries: MAX_ENTRIES, maxBytes: MAX_BYTES, onEvict });
      const model = new Model(clock);
      for (const [n, step] of program.entries()) {
        play(store, model, clock, step);
        if (step.what === "wait" || n % 5 === 0) compare(store, model, limit);
      }
      compare(store, model, limit);
      await Promise.resolve();
      deepEqual(evicted, model.evicted);
    }),
    { numRuns: 1_000 },
  );
});

test("evicts by last use and lists each once, whatever the times are, at any number of sessions", () => {
  const uses = fc.array(
    fc.record({ n: fc.nat(600), age: fc.nat(2_000), touch: fc.constantFrom(true, true, true, true, false) }),
    {
      minLength: 900,
      maxLength: 1_500,
    },
  );
  fc.assert(
    fc.property(uses, fc.constantFrom(1, 50, 2_000), (program, spread) => {
      const clock = new ManualClock();
      const store = new MemoryStore({ clock, maxEntries: 300 });
      const model = new Map<string, { touchedAt: number; expiresAt: number; order: number }>();
      for (const [order, { n, age, touch }] of program.entries()) {
        const handle = `handle${n}`;
        const touchedAt = clock.now() - (age % spread);
        const expiresAt = clock.now() + 60_000 + ((n * 7_919) % 997);
        const known = model.get(handle);
        if (touch && known) {
          store.touch(handle, touchedAt, expiresAt);
          model.set(handle, { touchedAt: Math.max(touchedAt, known.touchedAt), expiresAt, order });
        } else if (touch) {
          const record = { payload: "", version: 1, secretHash: "", userId: null, createdAt: 0, touchedAt, expiresAt };
          equal(store.create(handle, record), true);
          if (model.size === 300) {
            const oldest = [...model].sort(([, a], [, b]) => a.touchedAt - b.touchedAt || a.order - b.order)[0];
            model.delete(oldest?.[0] ?? "");
          }
          model.set(handle, { touchedAt, expiresAt, order });
        } else {
          equal(store.delete(handle), model.delete(handle));
        }
      }
      const listed = store.list({ limit: 1_000 }).sessions.map(({ handle }) => handle);
      deepEqual(listed.toSorted(), [...model.keys()].toSorted());
      clock.advance(60_500);
      const expired = [...model.values()].filter(({ expiresAt }) => expiresAt <= clock.now()).length;
      equal(store.prune(), expired);
      equal(store.count(), model.size - expired);
    }),
    { numRuns: 60 },
  );
});

test("what callers hold of records is theirs: changing it changes nothing that is stored", () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const now = clock.now();
  const record = { payload: "{}", version: 1, secretHash: "hash", userId: "ann", createdAt: now, touchedAt: now };
  const given = { ...record, expiresAt: now + 60_000 };
  store.create("handle", given);
  const expected = { ...given };
  const spoil = (held: object | undefined) =>
    Object.assign(held ?? {}, { payload: "spoilt", version: 9, touchedAt: 0 });
  spoil(given);
  spoil(store.load("handle"));
  spoil(store.list({}).sessions[0]);
  spoil(store.list({ userId: "ann" }).sessions[0]);
  deepEqual(store.load("handle"), expected);
  const next = { ...expected, version: 2, payload: "[]" };
  store.update("handle", next, 1);
  spoil(next);
  deepEqual(store.load("handle"), { ...expected, version: 2, payload: "[]" });
});
