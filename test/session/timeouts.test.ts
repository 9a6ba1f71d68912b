import assert from "node:assert/strict";
import { test } from "node:test";
import {
  expiryOf,
  FOREVER,
  hasExpired,
  type Lifetime,
  parseDuration,
  type Timeouts,
  timeouts,
  touchIsDue,
} from "../../src/session/timeouts.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test("a duration is milliseconds, or a number with a unit", () => {
  const table: [number | string | false, number][] = [
    [1, 1],
    [0.2, 1],
    [1e6 / 3, 333_333],
    ["0.33333m", 20_000],
    [90_000, 90_000],
    ["1ms", 1],
    ["500ms", 500],
    ["30s", 30_000],
    ["30m", 30 * MINUTE],
    ["12h", 12 * HOUR],
    ["1.5h", 90 * MINUTE],
    ["30 d", 30 * DAY],
    ["2w", 14 * DAY],
    [false, Number.POSITIVE_INFINITY],
  ];
  for (const [given, ms] of table) assert.equal(parseDuration(given, "idleTimeout"), ms, `${given}`);
});

test("what is no duration is refused by the option's name", () => {
  const refused: unknown[] = [
    0, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, "", " ", "30", "m", "-30m", "+30m", "1e3s",
    "30M", "30min", "30m ", " 30m", "0m", "0.0h", ".5h", "1.h", "1..5h", "30m30s", "Infinity", "NaN", "٣٠m", "1_000ms",
    `${"9".repeat(400)}d`, "1,5h", "30\nm\n", true, null, undefined, {}, [], ["30m"], new Date(0), 5n, Symbol("30m"), () => 5,
  ]; // biome-ignore format: a list of small values
  for (const value of refused) {
    assert.throws(
      () => Reflect.apply(parseDuration, undefined, [value, "touchAfter"]),
      (error: unknown) => error instanceof TypeError && error.message.startsWith("touchAfter must be"),
      `accepted ${String(value)}`,
    );
  }
});

test("parsing a duration does work in proportion to its length", () => {
  // Quadratic backtracking over 200,000 digits would outlast every patience; linear work is done at once.
  for (const text of [
    `${"1".repeat(200_000)}x`,
    `1${" ".repeat(200_000)}x`,
    `${"1".repeat(100_000)}.${"1".repeat(100_000)}`,
  ]) {
    assert.throws(() => parseDuration(text, "idleTimeout"), TypeError);
  }
});

test("defaults: half an hour idle, twelve hours in all, touched once a minute at most", () => {
  assert.deepEqual(timeouts({}), { idleMs: 30 * MINUTE, absoluteMs: 12 * HOUR, touchAfterMs: MINUTE });
});

test("touchAfter follows the idle timeout where none is given", () => {
  const table: [Parameters<typeof timeouts>[0], number][] = [
    [{ idleTimeout: "5m" }, 30_000],
    [{ idleTimeout: "10m" }, MINUTE],
    [{ idleTimeout: "11m" }, MINUTE],
    [{ idleTimeout: 10 }, 1],
    [{ idleTimeout: false }, MINUTE],
    [{ touchAfter: 0 }, 0],
    [{ touchAfter: 1 }, 1],
    [{ idleTimeout: 1000, touchAfter: 999 }, 999],
    [{ idleTimeout: false, touchAfter: "30d" }, 30 * DAY],
  ];
  for (const [options, ms] of table) assert.equal(timeouts(options).touchAfterMs, ms, JSON.stringify(options));
});

test("a touchAfter that would end sessions in use is refused", () => {
  for (const touchAfter of [1000, 1001, "1h"] as const) {
    assert.throws(
      () => timeouts({ idleTimeout: 1000, touchAfter }),
      /^TypeError: touchAfter must be shorter than idleTimeout/,
    );
  }
});

const LIMITS: Timeouts = { idleMs: 1_000, absoluteMs: 10_000, touchAfterMs: 100 };
const NO_LIMITS: Timeouts = {
  idleMs: Number.POSITIVE_INFINITY,
  absoluteMs: Number.POSITIVE_INFINITY,
  touchAfterMs: 100,
};

test("when a session ends", () => {
  const table: [string, Lifetime, number, Timeouts, number][] = [
    ["idle, right after its beginning", { createdAt: 0 }, 0, LIMITS, 1_000],
    ["idle, later", { createdAt: 0 }, 5_000, LIMITS, 6_000],
    ["the last full idle time", { createdAt: 0 }, 9_000, LIMITS, 10_000],
    ["cut by the absolute end", { createdAt: 0 }, 9_001, LIMITS, 10_000],
    ["never beyond the absolute end", { createdAt: 0 }, 50_000, LIMITS, 10_000],
    ["remembered: exactly then, shorter than idle", { createdAt: 0, endsAt: 10 }, 0, LIMITS, 10],
    ["remembered: exactly then, longer than absolute", { createdAt: 0, endsAt: 99_999 }, 0, LIMITS, 99_999],
    ["remembered and taken back: absolute from there", { createdAt: 0, absoluteFrom: 20_000 }, 29_500, LIMITS, 30_000],
    ["no limits: the end of year 9999", { createdAt: 0 }, 5, NO_LIMITS, FOREVER],
    ["remembered beyond year 9999", { createdAt: 0, endsAt: Number.MAX_SAFE_INTEGER }, 5, LIMITS, FOREVER],
    ["remembered for ever", { createdAt: 0, endsAt: Number.POSITIVE_INFINITY }, 5, LIMITS, FOREVER],
    ["a latest end before all others", { createdAt: 0, notAfter: 500 }, 0, LIMITS, 500],
    ["a latest end after all others", { createdAt: 0, notAfter: 99_999 }, 9_900, LIMITS, 10_000],
    ["a latest end where there are no others", { createdAt: 0, notAfter: 99_999 }, 5, NO_LIMITS, 99_999],
    ["a latest end, though remembered", { createdAt: 0, endsAt: 50_000, notAfter: 40_000 }, 5, LIMITS, 40_000],
    ["a latest end after the remembered one", { createdAt: 0, endsAt: 50_000, notAfter: 60_000 }, 5, LIMITS, 50_000],
    ["a latest end beyond the calendar", { createdAt: 0, notAfter: FOREVER + 1 }, 5, NO_LIMITS, FOREVER],
  ];
  for (const [name, lifetime, now, limits, end] of table) assert.equal(expiryOf(lifetime, now, limits), end, name);
});

test("FOREVER is a date that every calendar writes", () => {
  assert.equal(new Date(FOREVER).toISOString(), "9999-12-31T23:59:59.000Z");
  assert.ok(Number.isSafeInteger(FOREVER));
});

test("whether a stored session has ended, to the millisecond", () => {
  type Stored = Parameters<typeof hasExpired>[0];
  const used = (touchedAt: number, expiresAt: number, more: Partial<Lifetime> = {}): Stored => ({
    createdAt: 0,
    touchedAt,
    expiresAt,
    ...more,
  });
  const table: [string, Stored, number, Timeouts, boolean][] = [
    ["before its deadline", used(0, 1_000), 999, LIMITS, false],
    ["at its deadline", used(0, 1_000), 1_000, LIMITS, true],
    ["after its deadline", used(0, 1_000), 1_001, LIMITS, true],
    ["stored deadline honoured where today's options allow more (CVE-2024-35220)", used(0, 5), 5, NO_LIMITS, true],
    ["idle timeout shortened since: before", used(2_000, 99_999), 2_999, LIMITS, false],
    ["idle timeout shortened since: at", used(2_000, 99_999), 3_000, LIMITS, true],
    ["absolute end shortened since: before", used(9_500, 99_999), 9_999, LIMITS, false],
    ["absolute end shortened since: at", used(9_500, 99_999), 10_000, LIMITS, true],
    ["remembered beyond idle and absolute", used(0, 99_999, { endsAt: 99_999 }), 50_000, LIMITS, false],
    ["remembered, at its end", used(0, 99_999, { endsAt: 99_999 }), 99_999, LIMITS, true],
    ["a latest end: before", used(9_000, 99_999, { notAfter: 9_500 }), 9_499, LIMITS, false],
    ["a latest end: at", used(9_000, 99_999, { notAfter: 9_500 }), 9_500, LIMITS, true],
    ["a latest end, though remembered", used(0, 99_999, { endsAt: 99_999, notAfter: 50_000 }), 50_000, LIMITS, true],
    [
      "taken back: absolute end counts from there",
      used(14_500, 99_999, { absoluteFrom: 5_000 }),
      14_999,
      LIMITS,
      false,
    ],
    ["taken back: at that end", used(14_500, 99_999, { absoluteFrom: 5_000 }), 15_000, LIMITS, true],
  ];
  for (const [name, stored, now, limits, ended] of table) assert.equal(hasExpired(stored, now, limits), ended, name);
});

test("when a last use is written down again, to the millisecond", () => {
  assert.equal(touchIsDue(0, 99, LIMITS), false);
  assert.equal(touchIsDue(0, 100, LIMITS), true);
  assert.equal(touchIsDue(500, 400, LIMITS), false, "a clock that went backwards");
  assert.equal(touchIsDue(7, 7, { ...LIMITS, touchAfterMs: 0 }), true, "every time");
});

test("however often a session is used, its end never passes the absolute one", () => {
  let expiresAt = expiryOf({ createdAt: 0 }, 0, LIMITS);
  for (let now = 0; now < expiresAt; now += 100) {
    const next = expiryOf({ createdAt: 0 }, now, LIMITS);
    assert.ok(next >= expiresAt, "use never shortens");
    assert.ok(next <= LIMITS.absoluteMs);
    expiresAt = next;
  }
  assert.equal(expiresAt, LIMITS.absoluteMs);
});
