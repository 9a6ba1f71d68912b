import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "../../src/contract/time.ts";
import { KeyRing, MANAGED } from "../../src/crypto/key-ring.ts";
import { TokenCodec, TokenSource } from "../../src/crypto/token.ts";
import { managedKeys } from "../../src/identity/keys.ts";
import type { IndexedStore } from "../../src/index.ts";
import { Events } from "../../src/session/events.ts";
import { type Fault, faulty } from "../../src/testing/faulty-store.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { SteppedStore } from "../races/stepped-store.ts";
import { explore, type Run } from "../races/steps.ts";
import { everyStore } from "../support/every-store.ts";
import { caller } from "../support/express-site.ts";

/**
 * Managed keys over every store: two processes that make a key at once, in all orders of their calls to the store, and a store that
 * fails in the middle.
 */

const ROOT = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
const DAY = 86_400_000;
const MINUTE = 60_000;

const tokens = new TokenSource();

/** What one process knows of the keys, with a clock of its own. */
class Process {
  readonly clock: ManualClock;
  readonly keys: ReturnType<typeof managedKeys>;
  readonly codec: TokenCodec;
  readonly failures: string[] = [];
  rotations = 0;
  readonly #ring = new KeyRing(MANAGED, { production: false, warn: assert.fail });
  readonly #events = new Events();
  #detach = (): void => {};

  constructor(store: IndexedStore, name: string, now?: number) {
    this.clock = new ManualClock(now);
    this.keys = managedKeys({ store, rootKey: ROOT, name, clock: this.clock });
    this.codec = new TokenCodec(this.#ring, "sid");
    this.#events.on("store-error", ({ operation, error }) => this.failures.push(`${operation}: ${error.code}`));
    this.#events.on("keys-rotated", () => {
      this.rotations += 1;
    });
  }

  start(): Promise<void> {
    this.#detach = this.keys.attach(this.#ring, this.#events, DAY);
    return this.keys.ready();
  }

  stop(): void {
    this.#detach();
  }

  /** Time passes, and then the process reads the keys. A failure is told by an event. */
  async pass(ms: number): Promise<void> {
    this.stop();
    this.clock.advance(ms);
    await this.start();
    await this.read();
  }

  /** Waits for the read that has begun. */
  async read(): Promise<void> {
    await this.keys.prepare(() => true);
  }

  token(): string {
    return this.codec.format(tokens.handle(), tokens.secret());
  }

  /** Which keys it has, in their order. */
  ids(): string[] {
    return this.#ring.keysFor("a test").map((_, position) => this.#ring.keyId(position).toString("hex"));
  }
}

function assertOpen(all: readonly Process[], made: readonly string[]): void {
  for (const { codec } of all) for (const token of made) assert.ok(codec.verify(token), "a token that does not open");
}

/** A store, and the note in it that the keys are kept in. Tests share a database's table, so each has a name of its own. */
function noteOf(store: IndexedStore) {
  const name = `test-${crypto.randomUUID()}`;
  const handle = `!keys:${name}`;
  const texts = async (): Promise<string[]> => JSON.parse((await store.load(handle))?.payload ?? "[]");
  return { name, texts, remove: () => store.delete(handle) };
}

/** Two processes of which each makes a key that is due, at the same time. */
class Meet {
  readonly #inner: IndexedStore;
  readonly #store: SteppedStore;

  constructor(inner: IndexedStore) {
    this.#inner = inner;
    this.#store = new SteppedStore(inner);
  }

  async attempt(run: Run, what: "the first key" | "the next key"): Promise<void> {
    const note = noteOf(this.#inner);
    const both = [new Process(this.#store.store, note.name), new Process(this.#store.store, note.name)];
    const isFirst = what === "the first key";
    if (!isFirst) for (const one of both) await one.start();
    const before = { texts: await note.texts(), made: isFirst ? [] : both.map((one) => one.token()) };
    this.#store.run = run;
    const done = both.map((one, index) => {
      const by = index === 0 ? "A" : "B";
      const work = () => (isFirst ? one.start() : one.pass(90 * DAY - 11 * MINUTE));
      return run.start(by, index, () => ({ begun: Promise.resolve(), done: caller.run(by, work) }));
    });
    await run.toTheEnd(() => {});
    await Promise.all(done);
    this.#store.run = undefined;
    await this.#check(both, note, before);
    for (const one of both) one.stop();
    await note.remove();
  }

  async #check(
    both: readonly Process[],
    { texts }: ReturnType<typeof noteOf>,
    before: { texts: string[]; made: string[] },
  ): Promise<void> {
    const count = before.texts.length + 1;
    const after = await texts();
    assert.equal(after.length, count, "one new key");
    assert.deepEqual(after.slice(0, -1), before.texts, "the key before is kept");
    assert.equal(
      both.map(({ rotations }) => rotations).reduce((sum, one) => sum + one),
      count,
      "it is told once",
    );
    const made = [...before.made, ...both.map((one) => one.token())];
    assertOpen(both, made);
    // The new key begins to write.
    for (const one of both) await one.pass(11 * MINUTE);
    assert.deepEqual(await texts(), after);
    const [first = [], second] = both.map((one) => one.ids());
    assert.deepEqual(first, second, "the same keys in the same order");
    assert.equal(new Set(first).size, count);
    assertOpen(both, [...made, ...both.map((one) => one.token())]);
    assert.deepEqual(
      both.flatMap(({ failures }) => failures),
      [],
    );
  }
}

function testFaults(open: (clock: Clock) => IndexedStore, kind: Fault["kind"] & ("error" | "lost reply")): void {
  /** One call of the store fails, after `passing` others that don't. Returns how many calls there were. */
  async function meet(store: IndexedStore, what: "the first key" | "the next key", passing: number): Promise<number> {
    const flaky = faulty(store, { synchronousLoad: false });
    const failAt = () => {
      if (passing > 0) flaky.fail("any", { kind: "delay", ms: 0 }, passing);
      flaky.fail("any", { kind });
    };
    const note = noteOf(store);
    const one = new Process(flaky.store, note.name);
    const made: string[] = [];
    const isFirst = what === "the first key";
    let calls = 0;
    if (isFirst) {
      failAt();
      await assert.rejects(one.start(), { code: "STORE_UNAVAILABLE" });
      calls = flaky.calls.length;
      assert.throws(() => one.token(), { code: "KEYS_UNAVAILABLE" });
    } else {
      await one.start();
      made.push(one.token());
      const [text] = await note.texts();
      const ids = one.ids();
      const before = flaky.calls.length;
      failAt();
      await one.pass(90 * DAY - 11 * MINUTE);
      calls = flaky.calls.length - before;
      assert.deepEqual(one.ids(), ids, "the key before goes on");
      assert.equal((await note.texts())[0], text, "the key before is kept");
      assertOpen([one], made);
      made.push(one.token());
    }
    assert.deepEqual(one.failures, [`${flaky.calls.at(-1)}: STORE_UNAVAILABLE`]);
    flaky.heal();
    const before = flaky.calls.length;
    one.clock.advance(10_000);
    assert.equal(flaky.calls.length, before + 1, "it tries again by itself");
    await one.read();
    const count = isFirst ? 1 : 2;
    assert.equal((await note.texts()).length, count);
    made.push(one.token());
    // Another process has nothing but the store.
    const both = [one, new Process(store, note.name, one.clock.now())];
    await both[1]?.start();
    for (const process of both) await process.pass(12 * MINUTE);
    for (const process of both) made.push(process.token());
    assertOpen(both, made);
    assert.deepEqual(both[0]?.ids(), both[1]?.ids());
    assert.equal(new Set(one.ids()).size, count);
    assert.equal(one.failures.length, 1);
    for (const process of both) process.stop();
    await note.remove();
    return calls;
  }

  for (const what of ["the first key", "the next key"] as const) {
    test(`${kind} at each call that makes ${what}: told, tried again, and no key is lost`, async (t) => {
      const store = open(new ManualClock());
      t.after(() => store.close());
      // The keys are read and then written.
      for (const passing of [0, 1]) assert.equal(await meet(store, what, passing), passing + 1);
    });
  }
}

for (const { name, skip, open } of everyStore()) {
  describe(`over ${name}`, { skip }, () => {
    for (const what of ["the first key", "the next key"] as const) {
      test(`two processes that make ${what} at once, in all orders`, async (t) => {
        const store = open(new ManualClock());
        t.after(() => store.close());
        const meet = new Meet(store);
        const orders = await explore((run) => meet.attempt(run, what));
        t.diagnostic(`${orders} orders`);
        assert.ok(orders > 10);
      });
    }
    for (const kind of ["error", "lost reply"] as const) testFaults(open, kind);
  });
}
