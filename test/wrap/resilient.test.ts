import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import type { SessionRecord } from "../../src/contract/store.ts";
import { type ResilientOptions, resilient, SojournError, type SojournErrorCode, session } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { type Fault, faulty, gated, ManualClock, storeConformance } from "../../src/testing/index.ts";
import { asynchronous } from "../support/asynchronous.ts";
import { sixMethods } from "../support/six-methods.ts";

for (const [name, wrap] of [
  ["synchronous", (store: MemoryStore) => store],
  ["asynchronous", asynchronous],
] as const) {
  storeConformance({
    name: `resilient(a store that is ${name})`,
    async open(clock) {
      // A check creates 1,200 sessions at once.
      const store = resilient(wrap(new MemoryStore({ clock })), { clock, retryReads: true, maxPending: 1_200 });
      return [store, store];
    },
  });
}

/** A wrapped store of the asynchronous kind with one session, "handle", in it. Pauses are as long as can be. */
function scene(options: ResilientOptions = {}) {
  const clock = new ManualClock();
  const inner = new MemoryStore({ clock });
  const now = clock.now();
  const record: SessionRecord = {
    payload: "{}",
    version: 1,
    secretHash: "hash",
    userId: null,
    createdAt: now,
    touchedAt: now,
    expiresAt: now + 3_600_000,
  };
  inner.create("handle", record);
  const fault = faulty(inner, { clock, synchronousLoad: false });
  const store = resilient(fault.store, { clock, random: () => 1, ...options });
  const told: string[] = [];
  store.on("open", ({ pauseMs, previous }) => told.push(`${previous} → open for ${pauseMs}`));
  store.on("half-open", () => told.push("half-open"));
  store.on("closed", ({ outageMs }) => told.push(`closed after ${outageMs}`));
  const forever = (kind: Fault) => fault.fail("any", kind, Number.POSITIVE_INFINITY);
  return { clock, inner, record, fault, forever, store, told, load: async () => store.load("handle") };
}

/** Everything that can happen now has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise(setImmediate);
}

const code = (expected: SojournErrorCode) => ({ code: expected });

describe("the circuit of a store that fails", () => {
  test("opens after five failures; then nothing reaches the store, and every call fails at once", async () => {
    const { store, fault, forever, load, record } = scene();
    forever({ kind: "error", error: new Error("connection refused") });
    for (let i = 0; i < 5; i++) await rejects(load, /connection refused/);
    equal(store.state, "open");
    const reached = fault.calls.length;
    for (const call of [
      load,
      async () => store.create("other", record),
      async () => store.update("handle", record, 1),
      async () => store.touch("handle", 1, 1),
      async () => store.delete("handle"),
      async () => store.list({}),
      async () => store.deleteAll({}),
      async () => store.count(),
      async () => store.prune(),
    ]) {
      await rejects(call, (error) => {
        ok(error instanceof SojournError && error.code === "STORE_UNAVAILABLE" && error.status === 503);
        match(error.message, /circuit breaker refused/);
        match(String(error.cause), /connection refused/, "why is not forgotten");
        return true;
      });
    }
    equal(fault.calls.length, reached);
    deepEqual(store.counts, { pending: 0, calls: 5, failures: 5, retries: 0, refused: 9 });
  });

  test("closes again after one good try; every change is told", async () => {
    const { store, clock, fault, forever, load, told, record } = scene();
    forever({ kind: "error" });
    for (let i = 0; i < 5; i++) await rejects(load);
    clock.advance(2_000);
    await rejects(load);
    fault.heal();
    clock.advance(3_999);
    await rejects(load);
    clock.advance(1);
    deepEqual(await load(), record);
    equal(store.state, "closed");
    deepEqual(told, [
      "closed → open for 2000",
      "half-open",
      "half-open → open for 4000",
      "half-open",
      "closed after 6000",
    ]);
  });

  test("at most one attempt a second while it is open, however many come and whatever chance says", async () => {
    for (const chance of [0, 0.3, 1]) {
      const { store, clock, fault, forever, load } = scene({ random: () => chance });
      forever({ kind: "hang" });
      const opening = Promise.allSettled([load(), load(), load(), load(), load()]);
      clock.advance(1_000);
      await opening;
      equal(store.state, "open");
      const attempts: number[] = [];
      const answers: Promise<unknown>[] = [];
      for (let ms = 0; ms < 60_000; ms += 50) {
        clock.advance(50);
        const before = fault.calls.length;
        for (let i = 0; i < 3; i++) answers.push(load().catch(() => {}));
        if (fault.calls.length > before) attempts.push(clock.now());
        ok(fault.calls.length <= before + 1);
        await settled();
      }
      for (const [i, at] of attempts.entries()) {
        const next = attempts[i + 1];
        ok(next === undefined || next - at >= 1_000, `${at} and ${next} by chance ${chance}`);
      }
      ok(attempts.length >= 4, "it is tried again and again");
      clock.advance(1_000);
      await Promise.all(answers);
    }
  });

  test("a store that hangs fails at the deadline and opens the circuit; late answers change nothing", async () => {
    const { store, clock, load, fault, record } = scene();
    fault.fail("any", { kind: "delay", ms: 1_500 }, 5);
    const failing = Array.from({ length: 5 }, () => rejects(load, code("STORE_TIMEOUT")));
    clock.advance(999);
    await settled();
    equal(store.counts.pending, 5);
    clock.advance(1);
    await Promise.all(failing);
    equal(store.counts.pending, 0);
    equal(store.state, "open");
    clock.advance(500);
    await settled();
    equal(store.state, "open");
    clock.advance(1_500);
    deepEqual(await load(), record);
  });

  test("writes have a deadline of their own", async () => {
    const { store, clock, forever } = scene({ timeout: { read: 10, commit: "30ms" } });
    forever({ kind: "hang" });
    const writing = rejects(async () => store.delete("handle"), code("STORE_TIMEOUT"));
    clock.advance(29);
    await settled();
    equal(store.counts.pending, 1);
    clock.advance(1);
    await writing;
  });

  test("the store of which one call is tried says no: everybody else is refused meanwhile", async () => {
    const { store, clock, fault, forever, load } = scene();
    forever({ kind: "error" });
    for (let i = 0; i < 5; i++) await rejects(load);
    fault.heal();
    forever({ kind: "hang" });
    clock.advance(2_000);
    const tried = rejects(load, code("STORE_TIMEOUT"));
    equal(store.state, "half-open");
    await rejects(load, /circuit breaker refused/);
    clock.advance(1_000);
    await tried;
    equal(store.state, "open");
  });

  test("half of at least twenty calls within ten seconds do, too", async () => {
    const { store, fault, load } = scene();
    for (let i = 0; i < 10; i++) {
      equal(store.state, "closed");
      await load();
      fault.fail("load", { kind: "error" });
      await rejects(load);
    }
    equal(store.state, "open");
  });
});

describe("what is no failure of the store", () => {
  for (const other of ["STORE_FULL", "STORE_CORRUPT", "STORE_CLOSED", "TOO_LARGE"] as const) {
    test(`${other}: the store has answered`, async () => {
      const { store, fault, forever, load } = scene();
      for (let i = 0; i < 4; i++) {
        fault.fail("load", { kind: "error" });
        await rejects(load);
      }
      forever({ kind: "error", error: new SojournError(other, "no") });
      for (let i = 0; i < 30; i++) await rejects(load, code(other));
      equal(store.state, "closed");
      fault.heal();
      fault.fail("load", { kind: "error" });
      await rejects(load);
      equal(store.state, "closed", "it was no failure in a row either");
    });
  }

  test('"gone", "conflict", false and undefined', async () => {
    const { store, record } = scene();
    for (let i = 0; i < 30; i++) {
      equal(await store.update("nobody", record, 1), "gone");
      equal(await store.update("handle", { ...record, version: 9 }, 8), "conflict");
      equal(await store.touch("nobody", 1, 1), false);
      equal(await store.load("nobody"), undefined);
    }
    equal(store.state, "closed");
    equal(store.counts.failures, 0);
  });

  test("a write that a full store refuses closes the circuit: the store is there", async () => {
    const { store, clock, fault, forever, load, record } = scene();
    forever({ kind: "error" });
    for (let i = 0; i < 5; i++) await rejects(load);
    fault.heal();
    fault.fail("create", { kind: "error", error: new SojournError("STORE_FULL", "no room") });
    clock.advance(2_000);
    await rejects(async () => store.create("other", record), code("STORE_FULL"));
    equal(store.state, "closed");
  });
});

describe("retries", () => {
  test("none unless asked for", async () => {
    const { fault, load } = scene();
    fault.fail("load", { kind: "error" });
    await rejects(load);
    deepEqual(fault.calls, ["load"]);
  });

  test("a read is tried once more, and no more than that", async () => {
    const { store, fault, load, record } = scene({ retryReads: true });
    fault.fail("load", { kind: "error" });
    deepEqual(await load(), record);
    fault.fail("load", { kind: "lost reply", error: new Error("second") }, 2);
    await rejects(load, /second/);
    equal(fault.calls.length, 4);
    deepEqual(store.counts, { pending: 0, calls: 4, failures: 3, retries: 2, refused: 0 });
  });

  test("both tries share one deadline, and what took all of it is not tried again", async () => {
    const { clock, fault } = scene();
    const { store, hold } = gated(fault.store);
    const wrapped = resilient(store, { clock, retryReads: true });
    const first = hold("load", "before");
    fault.fail("load", { kind: "error" });
    fault.fail("load", { kind: "hang" });
    const both = rejects(async () => wrapped.load("handle"), code("STORE_TIMEOUT"));
    clock.advance(700);
    first.release();
    await settled();
    equal(wrapped.counts.retries, 1);
    clock.advance(299);
    await settled();
    equal(wrapped.counts.pending, 1);
    clock.advance(1);
    await both;
    equal(wrapped.counts.calls, 2);
    // The first try takes all of it.
    fault.fail("load", { kind: "hang" });
    const late = rejects(async () => wrapped.load("handle"), code("STORE_TIMEOUT"));
    clock.advance(1_000);
    await late;
    equal(wrapped.counts.retries, 1);
  });

  test("not once the circuit is open, nor as its test", async () => {
    const { store, clock, fault, forever, load } = scene({ retryReads: true });
    forever({ kind: "error", error: new Error("down") });
    for (let i = 0; i < 3; i++) await rejects(load, /^Error: down/);
    equal(fault.calls.length, 5, "the fifth failure opens the circuit");
    clock.advance(2_000);
    await rejects(load, /^Error: down/);
    equal(fault.calls.length, 6);
    equal(store.state, "open");
    equal(store.counts.refused, 0);
  });

  test("nor what the store itself has given up for its slowness", async () => {
    const { fault, load } = scene({ retryReads: true });
    fault.fail("load", { kind: "error", error: new SojournError("STORE_TIMEOUT", "slow") });
    await rejects(load, code("STORE_TIMEOUT"));
    deepEqual(fault.calls, ["load"]);
  });

  test("a write never is: one that was carried out unheard stays unknown, and is no conflict", async () => {
    const { store, inner, fault, record } = scene({ retryReads: true });
    const next = { ...record, version: 2 };
    for (const [operation, call] of [
      ["update", async () => store.update("handle", next, 1)],
      ["create", async () => store.create("other", record)],
      ["delete", async () => store.delete("other")],
      ["touch", async () => store.touch("handle", 1, 1)],
      ["replace", async () => store.replace?.("handle", 2, "fresh", record)],
    ] as const) {
      fault.fail(operation, { kind: "lost reply" });
      await rejects(call, code("STORE_UNAVAILABLE"), operation);
    }
    equal(fault.calls.length, 5);
    deepEqual(inner.load("fresh"), record);
  });
});

describe("the bound", () => {
  test("a thousand calls wait; the next fails at once, and when they are through all is well", async () => {
    const { store, clock, fault, forever, load, record } = scene();
    forever({ kind: "delay", ms: 900 });
    const waiting = Array.from({ length: 1_000 }, load);
    equal(store.counts.pending, 1_000);
    fault.heal();
    await rejects(load, (error) => {
      ok(error instanceof SojournError && error.code === "STORE_UNAVAILABLE");
      match(error.message, /1000 calls are waiting/);
      return true;
    });
    equal(fault.calls.length, 1_000);
    clock.advance(900);
    for (const answer of await Promise.all(waiting)) deepEqual(answer, record);
    deepEqual(await load(), record);
    equal(store.state, "closed", "refusing is no failure of the store");
  });

  test("calls that are given up make room, though the store never answers them", async () => {
    const { store, clock, fault, load, record } = scene({ maxPending: 4 });
    fault.fail("load", { kind: "hang" }, 4);
    const hanging = Promise.allSettled([load(), load(), load(), load()]);
    await rejects(load, /4 calls are waiting/);
    clock.advance(1_000);
    await hanging;
    deepEqual(await load(), record);
    equal(store.counts.pending, 0);
  });
});

describe("recovery", () => {
  test("refused calls never return: a thousand visitors cost the store as much as before the outage", async () => {
    const clock = new ManualClock();
    const fault = faulty(asynchronous(new MemoryStore({ clock })), { clock });
    const store = resilient(fault.store, { clock, random: () => 1 });
    const round = async () => {
      const before = fault.calls.length;
      await Promise.allSettled(Array.from({ length: 1_000 }, async () => store.load("handle")));
      return fault.calls.length - before;
    };
    equal(await round(), 1_000);
    fault.fail("any", { kind: "error" }, Number.POSITIVE_INFINITY);
    equal(await round(), 5);
    for (let i = 0; i < 10; i++) equal(await round(), 0);
    fault.heal();
    clock.advance(2_000);
    equal(await round(), 1, "the one that tries; the others came before it was known");
    equal(store.state, "closed");
    equal(await round(), 1_000);
  });
});

describe("listeners", () => {
  test("one that throws, and one that rejects, are reported and disturb nobody", async (t) => {
    const { store, forever, load, told } = scene();
    store.on("open", () => {
      throw new Error("thrown by a listener");
    });
    store.on("open", async () => {
      throw new Error("rejected by a listener");
    });
    let late = 0;
    store.on("open", () => late++);
    const warnings: string[] = [];
    const note = (warning: Error) => warnings.push(warning.message);
    process.on("warning", note);
    t.after(() => process.off("warning", note));
    forever({ kind: "error" });
    for (let i = 0; i < 5; i++) await rejects(load, code("STORE_UNAVAILABLE"));
    deepEqual(told, ["closed → open for 2000"]);
    equal(late, 1);
    while (warnings.length < 2) await once(process, "warning");
    match(warnings.join(), /a listener of "open" failed.*thrown by.*a listener of "open" failed.*rejected by/s);
  });

  test("one that is removed hears nothing more; one that uses the store finds it refusing", async () => {
    const { store, clock, forever, load } = scene();
    let heard = 0;
    const remove = store.on("open", () => heard++);
    const inside: unknown[] = [];
    store.on("open", ({ error }) => {
      inside.push(store.state, error instanceof SojournError && error.code);
      throws(() => store.load("handle"), /circuit breaker refused/);
    });
    forever({ kind: "error" });
    for (let i = 0; i < 5; i++) await rejects(load);
    remove();
    clock.advance(2_000);
    await rejects(load);
    equal(heard, 1);
    deepEqual(inside, ["open", "STORE_UNAVAILABLE", "open", "STORE_UNAVAILABLE"]);
  });
});

describe("a session that is created too late", () => {
  test("is taken back, since whoever asked for it was told that it failed", async () => {
    const { store, clock, inner, fault, record } = scene();
    fault.fail("create", { kind: "delay", ms: 2_500 });
    const creating = rejects(async () => store.create("late", record), code("STORE_TIMEOUT"));
    clock.advance(2_000);
    await creating;
    clock.advance(500);
    await settled();
    deepEqual(fault.calls, ["create", "delete"]);
    equal(inner.load("late"), undefined);
  });

  test("in the place of another one, likewise: both are over", async () => {
    const { store, clock, inner, fault, record } = scene();
    fault.fail("replace", { kind: "delay", ms: 2_500 });
    const replacing = rejects(async () => store.replace?.("handle", 1, "late", record), code("STORE_TIMEOUT"));
    clock.advance(2_000);
    await replacing;
    clock.advance(500);
    await settled();
    deepEqual(fault.calls, ["replace", "delete"]);
    equal(inner.load("handle"), undefined);
    equal(inner.load("late"), undefined);
  });

  test("within a limit, likewise", async () => {
    const { store, clock, inner, fault, record } = scene();
    fault.fail("admit", { kind: "delay", ms: 2_500 });
    const session = { ...record, userId: "user", handle: "late" };
    const admitting = rejects(
      async () => store.admit?.({ session, limit: 1, exceed: "refuse" }),
      code("STORE_TIMEOUT"),
    );
    clock.advance(2_000);
    await admitting;
    clock.advance(500);
    await settled();
    deepEqual(fault.calls, ["admit", "delete"]);
    equal(inner.load("late"), undefined);
  });

  test("in time, it stays", async () => {
    const { store, clock, inner, fault, record } = scene();
    fault.fail("create", { kind: "delay", ms: 1_999 });
    const creating = store.create("slow", record);
    clock.advance(1_999);
    equal(await creating, true);
    deepEqual(inner.load("slow"), record);
  });
});

describe("what is wrapped", () => {
  test("a synchronous store stays one: plain values, no timer, errors thrown", () => {
    const clock = new ManualClock();
    const { store: broken, fail } = faulty(new MemoryStore({ clock }));
    const store = resilient(broken, { clock, retryReads: true });
    equal(store.synchronousLoad, true);
    equal(store.load("nobody"), undefined);
    fail("load", { kind: "error" }, 5);
    for (let i = 0; i < 5; i++) throws(() => store.load("nobody"), code("STORE_UNAVAILABLE"));
    throws(() => store.load("nobody"), /circuit breaker refused/);
    equal(clock.pending, 0);
    equal(store.counts.retries, 0);
  });

  test("one with six methods has six, and says nothing of what it promises", () => {
    const store = resilient(sixMethods(new MemoryStore()));
    equal(store.synchronousLoad, false);
    equal(store.capabilities, undefined);
    for (const name of ["replace", "list", "deleteAll", "count", "prune"]) equal(name in store, false);
    equal(session({ store }).capabilities.indexed, false);
  });

  test("an indexed one stays one, and what it promises may change", () => {
    const inner = new MemoryStore();
    let durable: "no" | "power-loss" = "power-loss";
    Object.defineProperty(inner, "capabilities", {
      get: () => ({ durable, shared: true, atomicUpdate: true, indexed: true }),
    });
    const store = resilient(inner);
    equal(store.capabilities?.durable, "power-loss");
    durable = "no";
    equal(store.capabilities?.durable, "no");
    equal(typeof store.list, "function");
    equal(session({ store }).capabilities.indexed, true);
  });

  test("a store written for express-session is adapted", async () => {
    const clock = new ManualClock();
    const { record } = scene();
    const kept = new Map<string, string>();
    let isDown = false;
    type Answer = (error?: unknown, value?: unknown) => void;
    const store = resilient(
      {
        get: (id: string, done: Answer) => (isDown ? done(new Error("down")) : done(null, parsed(kept.get(id)))),
        set: (id: string, data: never, done?: Answer) => done?.(void kept.set(id, JSON.stringify(data))),
        destroy: (id: string, done?: Answer) => done?.(void kept.delete(id)),
      },
      { clock },
    );
    equal(await store.create("handle", record), true);
    deepEqual(await store.load("handle"), record);
    isDown = true;
    for (let i = 0; i < 5; i++) await rejects(async () => store.load("handle"), /down/);
    equal(store.state, "open");
  });

  test("impossible arguments are refused by name", () => {
    const store = new MemoryStore();
    const table: [options: object, message: RegExp][] = [
      [{ maxPending: 0 }, /maxPending must be a whole number/],
      [{ timeout: { read: "soon" } }, /timeout\.read must be/],
      [{ timeout: { commit: false } }, /timeout\.commit must be/],
      [{ retryReads: 2 }, /retryReads must be true or false/],
      [{ retries: 2 }, /retries is no option; there are timeout, maxPending/],
    ];
    for (const [options, message] of table) throws(() => resilient(store, options), { name: "TypeError", message });
    const sealed: object = new SealedStore();
    throws(() => Reflect.apply(resilient, undefined, [sealed]), /wrap its revocations/);
    throws(() => Reflect.apply(resilient, undefined, []), /must be a store/);
  });
});

function parsed(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}
