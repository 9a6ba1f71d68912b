import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryStore as DropInMemoryStore } from "../../src/compat/express-session/memory.ts";
import { deliver, systemClock } from "../../src/contract/time.ts";
import { hashSecret, TokenCodec, TokenSource } from "../../src/crypto/token.ts";
import { Events } from "../../src/session/events.ts";
import { sessionOf } from "../../src/session/session.ts";
import { StoreAccess } from "../../src/session/store-access.ts";
import { StoredSessions } from "../../src/session/stored.ts";
import { timeouts } from "../../src/session/timeouts.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";

type Cleanup = { after(action: () => void): void };

/** Replaces globals until the test has ended, as a test suite's fake timers do. */
function replaceGlobals(t: Cleanup, replacements: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(replacements)) {
    const real = Object.getOwnPropertyDescriptor(globalThis, name);
    assert.ok(real !== undefined, name);
    Object.defineProperty(globalThis, name, { ...real, value });
    t.after(() => Object.defineProperty(globalThis, name, real));
  }
}

/** Timers that never fire, because nobody moves their clock. */
const STOPPED = Object.fromEntries(
  ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "clearTimeout", "clearImmediate"].map((name) => [
    name,
    () => 0,
  ]),
);

const RECORD = { payload: "[0]\n", version: 1, secretHash: "hash", userId: null, createdAt: 0, touchedAt: 0 };

describe("the time of day follows what a test suite makes of Date", () => {
  test("a replaced Date.now, also one that was replaced after the library was loaded", (t) => {
    const real = Date.now;
    t.after(() => {
      Date.now = real;
    });
    Date.now = () => 12_345;
    assert.equal(systemClock.now(), 12_345);
  });

  test("a replaced Date class", (t) => {
    class FakeDate extends Date {
      static override now = () => 54_321;
    }
    replaceGlobals(t, { Date: FakeDate });
    assert.equal(systemClock.now(), 54_321);
  });

  test("sessions and stores without a clock of their own expire when Date moves, and not before", async (t) => {
    t.mock.timers.enable({ apis: ["Date"], now: Date.UTC(2040, 0, 1) });
    const memory = new MemoryStore({ acceptLossOnRestart: true });
    const sqlite = new SqliteStore(":memory:");
    const backend = new StoredSessions({
      store: memory,
      clock: systemClock,
      events: new Events(),
      tokens: new TokenSource(),
      maxBytes: 66_048,
      limits: timeouts({ idleTimeout: "30m" }),
      deadlines: { readMs: 1_000, commitMs: 2_000 },
      deviceOf: () => ({}),
    });
    t.after(async () => {
      await backend.close();
      await sqlite.close();
    });
    const facts = { transport: undefined, delivery: "possible", isHeld: true, isOver: false } as const;
    const request = { ...facts, countsAsUse: true, request: {} };
    const context = backend.context(request, undefined);
    Object.assign(sessionOf(context), { n: 1 });
    await context.commit();
    await sqlite.create("handle", { ...RECORD, expiresAt: Date.now() + 30 * 60_000 });
    const { handle, secret } = context.state;
    const scope = { name: "sid", codec: new TokenCodec(undefined, "sid"), transport: undefined, room: 4_096 };
    const token = { handle, secret, secretHash: hashSecret(secret), outdated: false, touchDueAt: 0 };
    const isOpen = async () => (await backend.open(token, scope, false)) !== undefined;
    assert.equal(await isOpen(), true);
    assert.notEqual(sqlite.load("handle"), undefined);
    t.mock.timers.tick(30 * 60_000);
    assert.equal(await isOpen(), false);
    assert.equal(sqlite.load("handle"), undefined);
  });
});

describe("what must wait does so by real timers", () => {
  test("SqliteStore writes, reads and lists under timers that never fire", async (t) => {
    const store = new SqliteStore(":memory:");
    t.after(() => store.close());
    replaceGlobals(t, STOPPED);
    assert.equal(await store.create("handle", { ...RECORD, expiresAt: systemClock.now() + 60_000 }), true);
    assert.equal((await store.list({})).sessions.length, 1);
    assert.equal(await store.prune(), 0);
  });

  test("the drop-in's MemoryStore calls back under timers that never fire", async (t) => {
    const store = new DropInMemoryStore();
    replaceGlobals(t, STOPPED);
    await new Promise<void>((resolve) => store.set("id", Object({ cookie: {} }), () => resolve()));
    const found = await new Promise((resolve) =>
      store.get("id", (_error: unknown, session: unknown) => resolve(session)),
    );
    assert.notEqual(found, undefined);
  });

  test("a store's deadline passes, and callbacks are called", async (t) => {
    replaceGlobals(t, STOPPED);
    const hanging = Object.assign(new MemoryStore({ acceptLossOnRestart: true }), {
      load: () => new Promise<never>(() => {}),
    });
    const access = new StoreAccess(hanging, systemClock, { readMs: 1, commitMs: 1 }, new Events());
    const alive = new MessageChannel(); // the clock's timers keep no process alive
    alive.port1.ref();
    t.after(() => alive.port1.close());
    await assert.rejects(Promise.resolve(access.load("handle")), { code: "STORE_TIMEOUT" });
    assert.equal(
      await new Promise((resolve) =>
        deliver(
          () => 5,
          (_error, value) => resolve(value),
        ),
      ),
      5,
    );
  });

  test("globals that were replaced before the library was loaded change nothing", async (t) => {
    replaceGlobals(t, STOPPED);
    const { systemClock, setImmediate, queueMicrotask }: typeof import("../../src/contract/time.ts") = await import(
      `../../src/contract/time.ts?${"loaded-under-fakes"}`
    );
    const alive = new MessageChannel();
    alive.port1.ref();
    t.after(() => alive.port1.close());
    await new Promise<void>((resolve) => systemClock.after(1, resolve));
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => queueMicrotask(resolve));
  });
});
