import { describe, test } from "node:test";
import { isIndexed, type SessionStore } from "../contract/store.ts";
import { basics } from "./conformance/basics.ts";
import { bulk } from "./conformance/bulk.ts";
import type { Check } from "./conformance/check.ts";
import { Bench } from "./conformance/check.ts";
import { close } from "./conformance/close.ts";
import { compareAndSet } from "./conformance/compare-and-set.ts";
import { gone } from "./conformance/gone.ts";
import { identity } from "./conformance/identity.ts";
import { index } from "./conformance/index.ts";
import { notes } from "./conformance/notes.ts";
import { prune } from "./conformance/prune.ts";
import { replace } from "./conformance/replace.ts";
import { time } from "./conformance/time.ts";
import { ManualClock } from "./manual-clock.ts";

/** The store to be examined. */
export interface ConformanceTarget {
  /** Heads the report. */
  name: string;
  /**
   * Two connections to the same data, which must be empty: called anew for every check. A store of one process
   * only may return the same object twice. It must take the time from this clock alone.
   */
  open(clock: ManualClock): Promise<readonly [SessionStore, SessionStore]>;
  /** Removes what `open` created, after both connections were closed. */
  remove?(): Promise<void> | void;
  /**
   * `false` where text with a NUL character or half a surrogate pair can't be stored: those checks are skipped.
   * Sojourn's own payloads have neither.
   */
  anyText?: boolean;
  /** Skips everything, visibly, for this reason: a server that isn't there. */
  skip?: string | undefined;
}

/** @internal Every check, by group. */
export const conformanceGroups: readonly (readonly [string, readonly Check[]])[] = [
  ["basics", basics],
  ["time", time],
  ["identity", identity],
  ["gone", gone],
  ["compare and set", compareAndSet],
  ["replace", replace],
  ["notes", notes],
  ["index", index],
  ["bulk", bulk],
  ["prune", prune],
  ["close", close],
];

/**
 * Declares the tests that every store must pass, for `node:test`.
 *
 * @example
 * import { storeConformance } from "sojourn/testing";
 *
 * storeConformance({
 *   name: "MyStore",
 *   async open(clock) {
 *     const name = `test_${++tests}`;
 *     return [new MyStore({ name, clock }), new MyStore({ name, clock })];
 *   },
 * });
 */
export function storeConformance(target: ConformanceTarget): void {
  describe(`${target.name} keeps the store contract`, { skip: target.skip ?? false }, () => {
    for (const [group, checks] of conformanceGroups) {
      describe(group, () => {
        for (const check of checks) test(check.name, (t) => examine(target, check, (why) => t.skip(why)));
      });
    }
  });
}

/** @internal One check, on a store of its own. Rejects where the store fails it. */
export async function examine(target: ConformanceTarget, check: Check, skip: (why: string) => void): Promise<void> {
  if (check.needs === "any text" && target.anyText === false) return skip("this store keeps well-formed text only");
  const clock = new ManualClock();
  const [first, second] = await target.open(clock);
  try {
    if (check.needs === "index") {
      if (!isIndexed(first) || !isIndexed(second)) return skip("this store is not an indexed one");
      await check.run(new Bench(first, second, clock));
    } else {
      await check.run(new Bench(first, second, clock));
    }
  } finally {
    await first.close();
    await second.close();
    await target.remove?.();
  }
}
