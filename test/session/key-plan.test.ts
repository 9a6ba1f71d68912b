import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inOrder, type KeyPlan, nextChange, nextKeyFrom, stillNeeded } from "../../src/session/key-plan.ts";

const plan: KeyPlan = { rotateMs: 10_000_000, refreshMs: 300_000, keepMs: 30_000_000 };
/** Twice the interval of reading, and a minute for the clocks. */
const LEAD = 660_000;
const keys = (...times: number[]) => times.map((writesFrom) => ({ madeAt: writesFrom, writesFrom }));

describe("the next key", () => {
  const CASES: [name: string, times: number[], now: number, from: number | undefined][] = [
    ["without any key is needed now", [], 5, 5],
    ["is not due while the newest is young", [0], 10_000_000 - LEAD - 1, undefined],
    ["is made early enough for all to know it", [0], 10_000_000 - LEAD, 10_000_000],
    ["writes no earlier than all can know it", [0], 10_000_000, 10_000_000 + LEAD],
    ["long overdue, the same", [0], 900_000_000, 900_000_000 + LEAD],
    ["is not made twice: the one that is coming counts", [0, 10_000_000], 10_000_000 - LEAD, undefined],
    ["is due by the newest one, whatever the order", [10_000_000, 0], 20_000_000 - LEAD, 20_000_000],
    ["is not made by a clock that is far behind", [10_000_000], 0, undefined],
  ];
  for (const [name, times, now, from] of CASES)
    test(name, () => assert.equal(nextKeyFrom(keys(...times), now, plan), from));
});

describe("the order of a ring", () => {
  const CASES: [name: string, times: number[], now: number, order: number[]][] = [
    ["the newest that may write is first", [0, 10, 20], 20, [20, 10, 0]],
    ["one that is coming reads, and does not write", [0, 10, 20], 19, [10, 20, 0]],
    ["by a clock that is behind the oldest writes", [10, 20], 5, [10, 20]],
    ["none", [], 5, []],
  ];
  for (const [name, times, now, order] of CASES) {
    test(name, () => {
      const ordered = inOrder(keys(...times), now);
      assert.deepEqual(
        ordered.map(({ writesFrom }) => writesFrom),
        order,
      );
    });
  }
});

describe("a key is kept", () => {
  const CASES: [name: string, times: number[], now: number, kept: number[]][] = [
    ["while it writes, however old it is", [0], 9_000_000_000, [0]],
    ["while something it made can live", [0, 10_000_000], 40_000_000 + 59_999, [0, 10_000_000]],
    ["and no longer", [0, 10_000_000], 40_000_000 + 60_000, [10_000_000]],
    ["before it writes", [0, 50_000_000], 1, [0, 50_000_000]],
  ];
  for (const [name, times, now, kept] of CASES) {
    test(name, () => {
      const needed = stillNeeded(keys(...times), now, plan);
      assert.deepEqual(
        needed.map(({ writesFrom }) => writesFrom),
        kept,
      );
    });
  }

  test("for ever where sessions may live for ever", () => {
    const needed = stillNeeded(keys(0, 10), 9_000_000_000_000, { ...plan, keepMs: Number.POSITIVE_INFINITY });
    assert.equal(needed.length, 2);
  });
});

test("the next change is the beginning of the key that is coming", () => {
  assert.equal(nextChange(keys(0, 10, 20), 5), 10);
  assert.equal(nextChange(keys(0, 10, 20), 20), undefined);
});
