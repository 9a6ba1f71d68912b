import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { after, deliver, isPromise, withDeadline } from "../../src/contract/time.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";

const late = () => new Error("too late");

describe("a deadline", () => {
  test("lets what comes in time through, and sets no timer that stays", async () => {
    const clock = new ManualClock();
    assert.equal(await withDeadline(Promise.resolve("answer"), 100, clock, late), "answer");
    await assert.rejects(withDeadline(Promise.reject(new Error("its own")), 100, clock, late), /its own/);
    assert.equal(clock.pending, 0);
  });

  test("ends the wait exactly then, and ignores what comes later", async () => {
    for (const end of ["resolve", "reject", "never"] as const) {
      const clock = new ManualClock();
      const work = Promise.withResolvers<string>();
      let isOver = false;
      const waiting = withDeadline(work.promise, 100, clock, late).finally(() => {
        isOver = true;
      });
      waiting.catch(() => {});
      clock.advance(99);
      await turn();
      await turn();
      assert.equal(isOver, false);
      clock.advance(1);
      await assert.rejects(waiting, /too late/);
      if (end === "resolve") work.resolve("late");
      if (end === "reject") work.reject(new Error("late too"));
      await turn();
    }
  });

  test("an answer that was already there when the event loop had stalled still wins", async () => {
    const clock = new ManualClock();
    const work = Promise.withResolvers<string>();
    const waiting = withDeadline(work.promise, 100, clock, late);
    // The timers' turn comes before the sockets', after a stall.
    clock.advance(2_000);
    work.resolve("was in the socket");
    assert.equal(await waiting, "was in the socket");
  });

  test("none at all waits for ever, without a timer", async () => {
    const clock = new ManualClock();
    assert.equal(await withDeadline(Promise.resolve(1), Number.POSITIVE_INFINITY, clock, late), 1);
    assert.equal(clock.pending, 0);
  });
});

describe("plain values and promises", () => {
  test("after() goes on at once with a plain value", () => {
    assert.equal(
      after(1, (n) => n + 1),
      2,
    );
  });

  test("after() goes on later with a promise's value", async () => {
    const result = after(Promise.resolve(1), (n) => n + 1);
    assert.ok(isPromise(result));
    assert.equal(await result, 2);
  });

  test("what counts as a promise", () => {
    assert.equal(isPromise(Promise.resolve()), true);
    for (const value of [undefined, null, 0, "", "then", {}, [], () => {}]) assert.equal(isPromise(value), false);
  });
});

describe("an outcome", () => {
  test("goes to the callback and the promise, once each", async () => {
    const calls: unknown[][] = [];
    assert.equal(
      await deliver(
        () => 5,
        (...given) => {
          calls.push(given);
        },
      ),
      5,
    );
    await turn();
    assert.deepEqual(calls, [[null, 5]]);
    const errors: unknown[] = [];
    await assert.rejects(
      deliver<number>(
        () => {
          throw new Error("no");
        },
        (error) => {
          errors.push(error);
        },
      ),
      /no/,
    );
    await turn();
    assert.equal(errors.length, 1);
    assert.match(String(errors[0]), /no/);
  });
});
