import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../src/testing/index.ts";

test("stands still until it is moved", () => {
  const clock = new ManualClock(1_000);
  equal(clock.now(), 1_000);
  clock.advance(5);
  equal(clock.now(), 1_005);
  clock.set(900);
  equal(clock.now(), 900);
});

test("starts later than the machine's time", () => {
  equal(new ManualClock().now() > Date.now(), true);
});

test("timers fire in the order they fall due, each at its own instant", () => {
  const clock = new ManualClock(0);
  const fired: [string, number][] = [];
  const note = (name: string) => () => fired.push([name, clock.now()]);
  clock.after(30, note("c"));
  clock.after(10, note("a"));
  clock.after(20, note("b"));
  clock.after(20, note("b, set later"));
  clock.advance(9);
  deepEqual(fired, []);
  clock.advance(11);
  deepEqual(fired, [
    ["a", 10],
    ["b", 20],
    ["b, set later", 20],
  ]);
  equal(clock.pending, 1);
  clock.advance(1_000);
  deepEqual(fired.at(-1), ["c", 30]);
  equal(clock.now(), 1_020);
});

test("a timer that sets another one is overtaken by neither", () => {
  const clock = new ManualClock(0);
  const fired: number[] = [];
  const again = () => {
    fired.push(clock.now());
    if (fired.length < 4) clock.after(10, again);
  };
  clock.after(10, again);
  clock.after(15, () => fired.push(clock.now()));
  clock.advance(100);
  deepEqual(fired, [10, 15, 20, 30]);
});

test("a timer that was cancelled does not fire, and cancelling twice cancels nobody else's", () => {
  const clock = new ManualClock(0);
  let fired = "";
  const cancel = clock.after(10, () => {
    fired += "a";
  });
  clock.after(10, () => {
    fired += "b";
  });
  cancel();
  cancel();
  clock.advance(10);
  equal(fired, "b");
  cancel();
  equal(clock.pending, 0);
});

test("a clock set back fires nothing, and late timers fire at no earlier time than now", () => {
  const clock = new ManualClock(100);
  const fired: number[] = [];
  clock.after(10, () => fired.push(clock.now()));
  clock.set(50);
  equal(fired.length, 0);
  clock.after(5, () => fired.push(clock.now()));
  clock.set(200);
  deepEqual(fired, [55, 110]);
});
