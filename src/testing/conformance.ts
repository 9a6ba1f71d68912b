import { describe, test } from "node:test";
import { isIndexed, type SessionStore } from "../contract/store.ts";
import { admit, unsupported, whyNotAdmitting } from "./conformance/admit.ts";
import { basics } from "./conformance/basics.ts";
import { bulk } from "./conformance/bulk.ts";
import { type Check, CheckContext, canAdmit } from "./conformance/check.ts";
import { close } from "./conformance/close.ts";
import { compareAndSet } from "./conformance/compare-and-set.ts";
import { gone } from "./conformance/gone.ts";
import { identity } from "./conformance/identity.ts";
import { index } from "./conformance/index.ts";
import { links } from "./conformance/links.ts";
import { notes } from "./conformance/notes.ts";
import { prune } from "./conformance/prune.ts";
import { replace } from "./conformance/replace.ts";
import { time } from "./conformance/time.ts";
import { ManualClock } from "./manual-clock.ts";

/** The store that {@link storeConformance} tests. */
export interface ConformanceTarget {
  /** The name in the report. */
  name: string;
  /**
   * Opens two connections to the same empty data, for each check again. A store of one process may
   * return one object twice. The store must take the time from this clock only.
   */
  open(clock: ManualClock): Promise<readonly [SessionStore, SessionStore]>;
  /** Removes what `open` created, after both connections are closed. */
  remove?(): Promise<void> | void;
  /**
   * `false` skips the checks with NUL characters and half surrogate pairs, which some databases
   * can't store. Sojourn's own payloads have neither. Default: `true`.
   */
  anyText?: boolean;
  /**
   * `false` declares that the store can't keep users' limits: its `admit` must answer
   * `"unsupported"`, and the checks of `admit` do not run. Default: they run if the store has the
   * method, and else are skipped.
   */
  admits?: boolean;
  /** Skips all checks for this reason, for instance a missing server, and reports it. */
  skip?: string | undefined;
}

/** @internal All checks, by group. */
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
  ["links", links],
  ["admit", admit],
  ["prune", prune],
  ["close", close],
];

/**
 * Declares the tests of the store contract, for `node:test`. Every store must pass them.
 *
 * @example
 * import { MemoryStore } from "sojourn";
 * import { storeConformance } from "sojourn/testing";
 *
 * storeConformance({
 *   name: "MemoryStore",
 *   async open(clock) {
 *     const store = new MemoryStore({ clock }); // empty data for each check
 *     return [store, store]; // two connections to the same data
 *   },
 * });
 */
export function storeConformance(target: ConformanceTarget): void {
  describe(`${target.name} keeps the store contract`, { skip: target.skip ?? false }, () => {
    for (const [group, checks] of conformanceGroups) {
      describe(group, () => {
        if (group === "admit" && target.admits === false) {
          test("admit answers that it is not supported", () => examine(target, unsupported, () => {}));
          return;
        }
        for (const check of checks) test(check.name, (t) => examine(target, check, (why) => t.skip(why)));
      });
    }
  });
}

/** @internal Runs one check on a new store. Rejects if the store fails it. */
export async function examine(target: ConformanceTarget, check: Check, skip: (why: string) => void): Promise<void> {
  if (check.needs === "any text" && target.anyText === false) return skip("this store only stores well-formed text");
  const clock = new ManualClock();
  const [first, second] = await target.open(clock);
  try {
    if (check.needs === "admit") {
      const why = await whyNotAdmitting(new CheckContext(first, second, clock));
      if (why !== undefined) skip(why);
      else if (canAdmit(first) && canAdmit(second)) await check.run(new CheckContext(first, second, clock));
    } else if (check.needs !== "index") await check.run(new CheckContext(first, second, clock));
    else if (!isIndexed(first) || !isIndexed(second)) skip("this store is not indexed");
    else await check.run(new CheckContext(first, second, clock));
  } finally {
    await first.close();
    await second.close();
    await target.remove?.();
  }
}
