import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { queryObjects } from "node:v8";
import type { SessionRecord } from "../../src/contract/store.ts";
import { Entry } from "../../src/stores/memory/table.ts";
import { MemoryStore, type MemoryStoreOptions } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/index.ts";

function opened(options: MemoryStoreOptions = {}) {
  const clock = new ManualClock();
  const evicted: { handle: string; userId: string | null }[] = [];
  const store = new MemoryStore({ clock, onEvict: (event) => evicted.push(event), ...options });
  const record = (different: Partial<SessionRecord> = {}): SessionRecord => {
    const now = clock.now();
    const usual = { payload: "{}", version: 1, secretHash: "hash", userId: null, createdAt: now, touchedAt: now };
    return { ...usual, expiresAt: now + 60_000, ...different };
  };
  const handles = () =>
    store
      .list({ limit: 1_000 })
      .sessions.map(({ handle }) => handle)
      .toSorted();
  return { clock, store, record, handles, evicted };
}

test("every answer is a plain value", () => {
  const { store, record, clock } = opened();
  equal(store.synchronousLoad, true);
  equal(store.create("handle", record({ userId: "user" })), true);
  equal(store.load("handle")?.version, 1);
  equal(store.update("handle", record({ userId: "user", version: 2 }), 1), "ok");
  equal(store.touch("handle", clock.now(), clock.now() + 1_000), true);
  equal(store.list({}).sessions.length, 1);
  equal(store.count(), 1);
  equal(store.prune(), 0);
  equal(store.deleteAll({ userId: "user" }), 1);
  equal(store.delete("handle"), false);
  equal(store.close(), undefined);
});

test("at its limit the anonymous session whose use is oldest goes first", async () => {
  const { store, record, handles, clock, evicted } = opened({ maxEntries: 4 });
  store.create("user", record({ userId: "user" }));
  for (const handle of ["a", "b", "c"]) store.create(handle, record());
  store.touch("a", clock.now(), clock.now() + 60_000);
  store.create("d", record());
  deepEqual(handles(), ["a", "c", "d", "user"]);
  store.update("c", record({ version: 2 }), 1);
  store.create("another user", record({ userId: "another" }));
  deepEqual(handles(), ["another user", "c", "d", "user"]);
  await Promise.resolve();
  deepEqual(evicted, [
    { handle: "b", userId: null },
    { handle: "a", userId: null },
  ]);
});

test("a user's session goes only where no anonymous one is left, the one whose use is oldest first", async () => {
  const { store, record, handles, clock, evicted } = opened({ maxEntries: 3 });
  for (const handle of ["a", "b", "c"]) {
    store.create(handle, record({ userId: `${handle}'s user` }));
    clock.advance(1_000);
  }
  store.touch("a", clock.now(), clock.now() + 60_000);
  store.create("d", record({ userId: "d's user" }));
  deepEqual(handles(), ["a", "c", "d"]);
  await Promise.resolve();
  deepEqual(evicted, [{ handle: "b", userId: "b's user" }]);
});

test("a flood of visitors signs nobody out but for the one place that it needs", () => {
  const { store, record } = opened({ maxEntries: 1_000 });
  for (let n = 0; n < 900; n++) store.create(`user${n}`, record({ userId: `user${n}` }));
  for (let n = 0; n < 100_000; n++) store.create(`visitor${n}`, record());
  equal(store.count(), 1_000);
  for (let n = 0; n < 900; n++) ok(store.load(`user${n}`), `user${n} was signed out`);

  const full = opened({ maxEntries: 1_000 });
  for (let n = 0; n < 1_000; n++) full.store.create(`user${n}`, full.record({ userId: `user${n}` }));
  for (let n = 0; n < 10_000; n++) full.store.create(`visitor${n}`, full.record());
  const left = Array.from({ length: 1_000 }, (_, n) => full.store.load(`user${n}`)).filter(Boolean).length;
  equal(left, 999);
});

test("expired sessions go before anyone's, and are not reported as given up", async () => {
  const { store, record, clock, handles, evicted } = opened({ maxEntries: 3 });
  store.create("anonymous", record());
  store.create("expired", record({ userId: "user", expiresAt: clock.now() + 1 }));
  store.create("user", record({ userId: "user" }));
  clock.advance(59_000);
  store.create("new", record());
  deepEqual(handles(), ["anonymous", "new", "user"]);
  await Promise.resolve();
  deepEqual(evicted, []);
});

test("is bounded in characters too: large sessions push out many small ones", () => {
  const { store, record } = opened({ maxBytes: 100_000 });
  for (let n = 0; n < 50; n++) store.create(`small${n}`, record({ payload: "x".repeat(1_000) }));
  store.create("large", record({ payload: "x".repeat(80_000) }));
  ok(store.load("large"));
  ok(store.count() <= 20);
  ok(store.load("small49"), "the newest of the small ones stay");
  equal(store.load("small0"), undefined);
});

test("a session that grows pushes out others, and never itself", () => {
  const { store, record } = opened({ maxBytes: 10_000 });
  store.create("user", record({ userId: "user", payload: "x".repeat(4_000) }));
  store.create("growing", record({ payload: "x".repeat(4_000) }));
  const grown = record({ version: 2, payload: "x".repeat(9_000) });
  equal(store.update("growing", grown, 1), "ok");
  deepEqual(store.load("growing"), grown);
  equal(store.load("user"), undefined);
  const shrunk = record({ version: 3, payload: "x" });
  equal(store.update("growing", shrunk, 2), "ok");
  store.create("user", record({ userId: "user", payload: "x".repeat(9_000) }));
  ok(store.load("growing"), "there is room again");
});

test("a session that is too large for the whole store is refused, and the others stay", () => {
  const { store, record } = opened({ maxBytes: 1_000 });
  store.create("small", record());
  const large = record({ payload: "x".repeat(1_000) });
  throws(() => store.create("large", large), { name: "SojournError", code: "TOO_LARGE" });
  throws(() => store.update("small", { ...large, version: 2 }, 1), { name: "SojournError", code: "TOO_LARGE" });
  equal(store.load("small")?.version, 1);
});

test("what was removed frees its characters", () => {
  const { store, record } = opened({ maxBytes: 12_000 });
  const userId = "u".repeat(1_000);
  for (let round = 0; round < 100; round++) {
    store.create("deleted", record({ payload: "x".repeat(4_000), userId }));
    store.create("ended", record({ payload: "x".repeat(4_000), userId }));
    equal(store.delete("deleted"), true);
    equal(store.deleteAll(round % 2 === 0 ? {} : { userId }), 1);
  }
});

test("users and links whose sessions have ended leave nothing behind", async () => {
  const { store, record } = opened();
  const count = () => [Set, Entry].map((made) => queryObjects(made, { format: "count" }));
  const more = () => count().map((now, n) => now - (before[n] ?? 0));
  const before = count();
  // The warning that this is experimental.
  await new Promise(setImmediate);
  const names = Array.from({ length: 1_000 }, (_, n) => `${n}`);
  const sessions = names.flatMap((name) => [`one of ${name}`, `other of ${name}`].map((handle) => ({ name, handle })));
  for (const { name, handle } of sessions)
    store.create(handle, record({ userId: `user ${name}`, link: `link ${name}` }));
  const [sets = 0, entries = 0] = more();
  ok(sets >= 2_000 && entries >= 2_000, "each user and each link has a set of its two sessions");
  for (const { handle } of sessions) store.delete(handle);
  for (const left of more()) ok(left < 100, `${left} are left`);
  for (const { name } of sessions) {
    store.create(name, record({ userId: `user ${name}` }));
    store.delete(name);
  }
  for (const left of more()) ok(left < 100, `${left} are left of users with one session`);
});

test("a listener that throws fails nobody's request", async () => {
  const warnings: string[] = [];
  const listen = (warning: Error) => warnings.push(warning.message);
  process.on("warning", listen);
  const { store, record } = opened({
    maxEntries: 1,
    onEvict: () => {
      throw new RangeError("not to be repeated");
    },
  });
  store.create("a", record());
  equal(store.create("b", record()), true);
  await new Promise(setImmediate);
  process.off("warning", listen);
  deepEqual(warnings, ["The memory store's onEvict threw (RangeError)."]);
});

test("a million sessions that expired in the night: each write removes four of them at most, and all of them go", (t) => {
  const { store, record, clock } = opened({ maxEntries: 2_000_000 });
  const expiring = record();
  for (let n = 0; n < 1_000_000; n++) store.create(`handle${n}`, expiring);
  clock.advance(12 * 3_600_000);

  const left = store.count();
  equal(left, 1_000_000);
  store.create("first of the morning", record({ expiresAt: Number.MAX_SAFE_INTEGER }));
  ok(store.count() >= left - 3);
  store.touch("first of the morning", clock.now(), Number.MAX_SAFE_INTEGER);
  store.delete("unknown");
  equal(store.update("unknown", expiring, 1), "gone");
  ok(store.count() >= left - 12);

  let longestMs = 0;
  let removed = 0;
  const before = store.count();
  while (store.count() > 1) {
    const started = performance.now();
    const pruned = store.prune();
    longestMs = Math.max(longestMs, performance.now() - started);
    ok(pruned > 0 && pruned <= 1_000);
    removed += pruned;
  }
  equal(removed, before - 1);
  ok(store.load("first of the morning"));
  t.diagnostic(`longest pause of a prune of 1,000: ${longestMs.toFixed(1)} ms`);
});

test("writes alone keep up with what expires: the store does not grow without a sweep", () => {
  const { store, record, clock } = opened();
  let most = 0;
  for (let n = 0; n < 20_000; n++) {
    store.create(`handle${n}`, record({ expiresAt: clock.now() + 10_000 }));
    clock.advance(10);
    most = Math.max(most, store.count());
  }
  // A thousand live at a time, and what expired within the last minute may still be there.
  ok(most < 8_000, `${most} sessions at most`);
});

test("reuses the places of removed sessions without mixing them up", () => {
  const { store, record } = opened();
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 3_000; n++) {
      store.create(`${round}-${n}`, record({ payload: `${round}-${n}`, userId: n % 3 === 0 ? `user${n % 7}` : null }));
    }
    for (let n = 0; n < 3_000; n += 2) store.delete(`${round}-${n}`);
  }
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 3_000; n++) {
      equal(store.load(`${round}-${n}`)?.payload, n % 2 === 0 ? undefined : `${round}-${n}`);
    }
  }
  let ofUsers = 0;
  for (let user = 0; user < 7; user++) ofUsers += store.count({ userId: `user${user}` });
  equal(ofUsers, 5 * 500);
});

test("payloads of all lengths and alphabets come back as they were, read again, written again and after others took their place", () => {
  const { store, record } = opened();
  const alphabets = ["x", "é", "\u0100", "\ud800", "\udfff\ud83d", "\u0000\u00ff"];
  const lengths = [0, 1, 2, 3, 511, 512, 4_096, 65_535, 65_536, 131_072, 131_073, 300_000];
  const texts = alphabets.flatMap((letters) => lengths.map((length) => letters.repeat(length).slice(0, length)));
  for (let round = 0; round < 3; round++) {
    for (const [n, text] of texts.entries()) {
      const payload = texts[(n + round) % texts.length] ?? "";
      if (round === 0) store.create(`handle${n}`, record({ payload: text }));
      else equal(store.update(`handle${n}`, record({ payload, version: round + 1 }), round), "ok");
      equal(store.load(`handle${n}`)?.payload, payload);
      equal(store.load(`handle${n}`)?.payload, payload);
    }
    for (const n of texts.keys()) equal(store.load(`handle${n}`)?.payload, texts[(n + round) % texts.length]);
  }
  for (const n of texts.keys()) store.delete(`handle${n}`);
  for (const n of texts.keys()) store.create(`another${n}`, record({ payload: `${n}` }));
  for (const n of texts.keys()) equal(store.load(`another${n}`)?.payload, `${n}`);
});

test("text beyond Latin-1 counts twice", () => {
  const { store, record } = opened({ maxBytes: 1_000 });
  throws(() => store.create("wide", record({ payload: "\u0100".repeat(500) })), { code: "TOO_LARGE" });
  equal(store.create("narrow", record({ payload: "é".repeat(900) })), true);
});

test("a handle, a hash or a user's ID of more than 4,096 characters is refused, and nothing is under it", () => {
  const { store, record } = opened();
  const long = "x".repeat(4_097);
  throws(() => store.create(long, record()), { code: "TOO_LARGE" });
  throws(() => store.create("handle", record({ userId: long })), { code: "TOO_LARGE" });
  throws(() => store.create("handle", record({ secretHash: long })), { code: "TOO_LARGE" });
  store.create("handle", record());
  throws(() => store.update("handle", record({ secretHash: long, version: 2 }), 1), { code: "TOO_LARGE" });
  equal(store.load(long), undefined);
  equal(store.delete(long), false);
  equal(store.count({ userId: long }), 0);
  equal(store.load("handle")?.version, 1);
});

test("a page of everyone's passes over any number of expired sessions", () => {
  const { store, record, clock } = opened();
  store.create("old", record({ userId: "user", expiresAt: clock.now() + 1_000_000 }));
  for (let n = 0; n < 12_000; n++) {
    if (n % 4 === 0) clock.advance(1);
    store.create(`expiring${n}`, record({ expiresAt: clock.now() + 60_000 }));
  }
  clock.advance(70_000);
  store.create("new", record());
  const pages: string[][] = [];
  let cursor: string | undefined;
  do {
    const page = store.list({ limit: 10, ...(cursor !== undefined && { cursor }) });
    pages.push(page.sessions.map(({ handle }) => handle));
    cursor = page.cursor;
  } while (cursor !== undefined);
  deepEqual(
    pages.map((page) => page.toSorted()),
    [["new", "old"]],
  );
});

test("impossible options and queries are refused by name", () => {
  for (const option of ["maxEntries", "maxBytes"]) {
    for (const value of [0, -1, 1.5, Number.NaN]) {
      throws(() => new MemoryStore({ [option]: value }), { name: "TypeError", message: new RegExp(option) });
    }
  }
  const { store } = opened();
  for (const limit of [0, -1, 1.5, Number.NaN]) {
    throws(() => store.list({ limit }), { name: "TypeError", message: /limit/ });
    throws(() => store.prune(limit), { name: "TypeError", message: /limit/ });
  }
  for (const cursor of ["", "x", "bnVsbA", "W10", "WzEsMl0", "=".repeat(1_000)]) {
    throws(() => store.list({ cursor }), { name: "TypeError", message: /cursor/ });
  }
});

const warningScript = `
  import { MemoryStore } from "./src/stores/memory.ts";
  const options = JSON.parse(process.argv[1] ?? "{}");
  new MemoryStore(options);
  new MemoryStore(options);
  process.on("warning", ({ code, message }) => console.log(code, message));
`;

function warningsOf(environment: string, options: MemoryStoreOptions): string[] {
  const output = execFileSync(
    process.execPath,
    ["--no-warnings", "--input-type=module-typescript", "--eval", warningScript, JSON.stringify(options)],
    { encoding: "utf8", env: { ...process.env, NODE_ENV: environment } },
  );
  return output.split("\n").filter((line) => line !== "");
}

test("in production it warns once, and names the remedy", () => {
  const [warning, ...others] = warningsOf("production", {});
  match(warning ?? "", /^SOJOURN_MEMORY_STORE .*new SqliteStore\("sessions\.db"\).*acceptLossOnRestart: true/);
  deepEqual(others, []);
});

test("it does not warn where losing sessions was accepted, nor outside production", () => {
  deepEqual(warningsOf("production", { acceptLossOnRestart: true }), []);
  deepEqual(warningsOf("development", {}), []);
});
