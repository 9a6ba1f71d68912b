import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { TimeLimit } from "../../src/session/retry.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";
import { engine, type Held, type TestRequest } from "../support/contexts.ts";

/** As `engine` sets it. */
const COMMIT_MS = 2_000;
const ROUND_TRIP_MS = 150;

test("a limit begins with the first try, excludes the application's own time, and survives a set clock", async () => {
  const clock = new ManualClock();
  const limit = new TimeLimit(clock, 1_000, clock.now() - 200);
  assert.equal(limit.leftMs, 800);
  await limit.exclude(async () => clock.advance(5_000));
  assert.equal(limit.leftMs, 800);
  clock.advance(799);
  assert.equal(limit.leftMs, 1);
  clock.advance(1);
  assert.equal(limit.leftMs, 0);
  clock.advance(10_000);
  assert.equal(limit.leftMs, 0);
  assert.equal(new TimeLimit(clock, 1_000, clock.now() + 5_000).leftMs, 1_000, "set back meanwhile");
});

describe("parallel changes of one session at a store that is far away", () => {
  function site() {
    const clock = new ManualClock();
    const store = wrapStore(new MemoryStore({ clock }), {
      async around(_operation, call) {
        await new Promise<void>((resolve) => clock.after(ROUND_TRIP_MS, resolve));
        return call();
      },
      synchronousLoad: false,
    });
    return { ...engine({ clock, store }), clock };
  }

  /** Lets time pass until it is done. */
  async function passing<T>(clock: ManualClock, work: Promise<T>, mostMs = 60_000): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    for (let ms = 0; !isDone && ms < mostMs; ms += 10) {
      for (let i = 0; i < 4; i += 1) await turn();
      clock.advance(10);
    }
    assert.ok(isDone, "it did not end");
    return done;
  }

  async function begun() {
    const one = site();
    const first = await one.request();
    Object.assign(first.session, { n: 0 });
    const held: Held = (await passing(one.clock, first.end())) ?? assert.fail("no token");
    const visits = (count: number): Promise<TestRequest[]> =>
      passing(one.clock, Promise.all(Array.from({ length: count }, () => one.request(held))));
    const stored = async () => ({ ...(await passing(one.clock, one.request(held))).session });
    return { ...one, held, visits, stored };
  }

  const ways: [string, (visit: TestRequest, i: number) => Promise<unknown>][] = [
    [
      "the end of the request",
      (visit, i) => {
        Object.assign(visit.session, { [`w${i}`]: i });
        return visit.end();
      },
    ],
    ["update()", (visit, i) => visit.session.update((session) => Object.assign(session, { [`w${i}`]: i }))],
  ];
  for (const [name, change] of ways) {
    test(`by ${name}: each is saved or refused with 409 or 503 within the time of a commit`, async () => {
      const { clock, visits, stored } = await begun();
      const began = clock.now();
      const outcomes = await passing(
        clock,
        Promise.all(
          (await visits(64)).map(async (visit, i) => {
            const from = clock.now();
            const status = await change(visit, i).then(
              () => 200,
              (error: unknown) => Number(Reflect.get(Object(error), "status")),
            );
            return { i, status, ms: clock.now() - from };
          }),
        ),
      );
      assert.ok(clock.now() > began);
      for (const { status, ms } of outcomes) {
        assert.ok([200, 409, 503].includes(status), `status ${status}`);
        // The timers of the test have steps of 10 ms.
        assert.ok(ms <= COMMIT_MS + 100, `${ms} ms`);
      }
      const saved = outcomes.filter(({ status }) => status === 200);
      assert.ok(saved.length >= 5, `${saved.length} saved`);
      const data = await stored();
      for (const { i } of saved) assert.equal(Reflect.get(data, `w${i}`), i);
    });
  }

  test("an update() function that hangs on its second run stops other changes for no longer than a commit", async () => {
    const { clock, visits, stored } = await begun();
    const [hanging, rival, waiting, later] = await visits(4);
    assert.ok(hanging !== undefined && rival !== undefined && waiting !== undefined && later !== undefined);
    Object.assign(rival.session, { rival: 1 });
    await passing(clock, rival.end());
    let runs = 0;
    let release = () => {};
    const updated = hanging.session.update(async (session) => {
      runs += 1;
      if (runs === 2) await new Promise<void>((resolve) => (release = resolve));
      Object.assign(session, { hanging: runs });
    });
    await passing(
      clock,
      Promise.resolve().then(async () => {
        while (runs < 2) await turn();
      }),
    );
    Object.assign(waiting.session, { waiting: 1 });
    const from = clock.now();
    await passing(clock, waiting.end()).catch((error: unknown) => {
      assert.ok([409, 503].includes(Reflect.get(Object(error), "status")));
    });
    assert.ok(clock.now() - from <= COMMIT_MS + 100);
    Object.assign(later.session, { later: 1 });
    await passing(clock, later.end());
    assert.equal(Reflect.get(await stored(), "later"), 1);
    release();
    await passing(clock, updated);
    assert.deepEqual(Object.keys(await stored()).includes("hanging"), true, "its own time does not count");
  });

  test("an update() that was refused leaves nothing for the end of the request to save", async () => {
    const { clock, visits, stored } = await begun();
    const all = await visits(16);
    const refused: TestRequest[] = [];
    await passing(
      clock,
      Promise.all(
        all.map((visit) =>
          visit.session
            .update((session) => Object.assign(session, { n: Number(Reflect.get(session, "n")) + 1 }))
            .catch(() => refused.push(visit)),
        ),
      ),
    );
    assert.ok(refused.length > 0);
    const before = await stored();
    await passing(clock, Promise.all(refused.map((visit) => visit.end())));
    assert.deepEqual(await stored(), before);
    assert.equal(Reflect.get(before, "n"), 16 - refused.length);
  });
});
