import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import { Breaker, opensCircuit, pauseMs } from "../../src/wrap/breaker.ts";

describe("a failure opens the circuit", () => {
  const table: [failuresInARow: number, failures: number, calls: number, opens: boolean, why: string][] = [
    [1, 1, 1, false, "the first call of all"],
    [4, 4, 4, false, "four in a row"],
    [5, 5, 5, true, "five in a row"],
    [5, 5, 10_000, true, "five in a row of very many"],
    [1, 10, 19, false, "more than half of nineteen"],
    [1, 10, 20, true, "half of twenty"],
    [1, 9, 20, false, "less than half of twenty"],
    [1, 500, 1_000, true, "half of a thousand"],
    [1, 499, 1_000, false, "less than half of a thousand"],
    // Failures in a row may be older than ten seconds.
    [5, 1, 1, true, "five in a row, a minute apart"],
  ];
  for (const [failuresInARow, failures, calls, opens, why] of table) {
    test(`${why}: ${opens ? "yes" : "no"}`, () => equal(opensCircuit({ failuresInARow, calls, failures }), opens));
  }
});

test("pauses: a second at least, and at most 2, 4, 8, 16 and 30 seconds", () => {
  const table: [tries: number, longest: number][] = [
    [0, 2_000],
    [1, 4_000],
    [2, 8_000],
    [3, 16_000],
    [4, 30_000],
    [5, 30_000],
    [2_000, 30_000],
  ];
  for (const [tries, longest] of table) {
    equal(pauseMs(tries, 0), 1_000);
    equal(pauseMs(tries, 0.5), (1_000 + longest) / 2);
    equal(pauseMs(tries, 1), longest);
  }
});

/** A breaker whose pauses are as long as can be, and what it told. */
function scene(chance = 1) {
  const told: string[] = [];
  const breaker = new Breaker(
    {
      opened: (pause, previous) => told.push(`${previous} → open for ${pause}`),
      halfOpened: () => told.push("half-open"),
      closed: (outage) => told.push(`closed after ${outage}`),
    },
    () => chance,
  );
  const admit = (now: number): number => {
    const period = breaker.admit(now);
    if (period === undefined) throw new Error(`refused at ${now}`);
    return period;
  };
  return {
    breaker,
    told,
    admit,
    fail: (now: number, times = 1) => {
      for (let i = 0; i < times; i++) breaker.failed(admit(now), now);
    },
    answer: (now: number, times = 1) => {
      for (let i = 0; i < times; i++) breaker.answered(admit(now), now);
    },
  };
}

describe("the course of an outage", () => {
  test("five failures, a pause, tries after longer and longer pauses, one success", () => {
    const { breaker, told, fail, answer } = scene();
    fail(0, 5);
    for (const at of [2_000, 6_000, 14_000, 30_000, 60_000]) {
      equal(breaker.admit(at - 1), undefined, `one millisecond before ${at}`);
      fail(at);
    }
    answer(90_000);
    deepEqual(told, [
      "closed → open for 2000",
      "half-open",
      "half-open → open for 4000",
      "half-open",
      "half-open → open for 8000",
      "half-open",
      "half-open → open for 16000",
      "half-open",
      "half-open → open for 30000",
      "half-open",
      "half-open → open for 30000",
      "half-open",
      "closed after 90000",
    ]);
    // All is forgotten: the next outage takes five failures again, and begins with a short pause.
    fail(90_000, 4);
    equal(breaker.state, "closed");
    fail(90_000);
    equal(told.at(-1), "closed → open for 2000");
  });

  test("half of the last calls failed, and it is closed again within ten seconds: they count no more", () => {
    const { breaker, fail, answer } = scene(0);
    for (let i = 0; i < 9; i++) {
      answer(0);
      fail(0);
    }
    answer(0);
    fail(0);
    equal(breaker.state, "open");
    answer(1_000);
    fail(1_000);
    equal(breaker.state, "closed");
  });

  test("an answer between them keeps failures from being in a row", () => {
    const { breaker, fail, answer } = scene();
    for (let i = 0; i < 3; i++) {
      answer(0, 5);
      fail(0, 4);
    }
    equal(breaker.state, "closed");
  });

  test("failures that are ten seconds old count no more", () => {
    const calls = (secondRound: number) => {
      const { breaker, fail, answer } = scene();
      for (let i = 0; i < 9; i++) {
        fail(0);
        answer(0);
      }
      answer(secondRound);
      fail(secondRound);
      return breaker.state;
    };
    equal(calls(9_999), "open");
    equal(calls(10_000), "closed");
  });

  test("while it is tried, nobody else gets through", () => {
    const { breaker, admit, fail } = scene();
    fail(0, 5);
    admit(2_000);
    equal(breaker.state, "half-open");
    equal(breaker.admit(2_000), undefined);
    equal(breaker.admit(1_000_000), undefined, "however long it takes");
  });

  test("what comes of calls from before the circuit changed counts for nothing", () => {
    const { breaker, told, admit, fail } = scene();
    const [early, failing] = [admit(0), admit(0)];
    fail(0, 5);
    breaker.answered(early, 500);
    equal(breaker.state, "open");
    const probe = admit(2_000);
    breaker.failed(failing, 2_100);
    breaker.answered(early, 2_100);
    equal(breaker.state, "half-open");
    breaker.answered(probe, 2_200);
    equal(breaker.state, "closed");
    for (let i = 0; i < 10; i++) breaker.failed(failing, 2_300);
    equal(breaker.state, "closed");
    deepEqual(told, ["closed → open for 2000", "half-open", "closed after 2200"]);
  });

  test("a clock that is set back does not prolong the pause", () => {
    const { breaker, admit, fail } = scene();
    fail(5_000_000, 5);
    admit(1_000_000);
    equal(breaker.state, "half-open");
  });
});
