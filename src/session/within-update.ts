import { AsyncLocalStorage } from "node:async_hooks";
import type { Awaitable } from "../contract/store.ts";
import { isPromise } from "../contract/time.ts";

/** Whose function, given to `update`, runs the code that asks; `isRunning` until that function has settled. */
const updating = new AsyncLocalStorage<{ owner: object; isRunning: boolean }>();

/** Runs a function given to `update`, and knows that it runs. */
export function runUpdate<T>(owner: object, change: () => Awaitable<T>): Awaitable<T> {
  const run = { owner, isRunning: true };
  const settled = (): void => {
    run.isRunning = false;
  };
  try {
    const result = updating.run(run, change);
    if (isPromise(result)) return result.finally(settled);
    settled();
    return result;
  } catch (error) {
    settled();
    throw error;
  }
}

/** @throws TypeError where the code that asks is run by a function given to this owner's `update` */
export function refuseWithinUpdate(owner: object): void {
  const run = updating.getStore();
  if (run?.owner !== owner || !run.isRunning) return;
  throw new TypeError(
    "a function given to update() may only read and change the data: it may run again, and update() saves what it changed",
  );
}
