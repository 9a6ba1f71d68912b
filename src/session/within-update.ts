import { AsyncLocalStorage } from "node:async_hooks";
import type { Awaitable } from "../contract/store.ts";
import { isPromise } from "../contract/time.ts";

/** The owner of the `update` whose function runs this code, until that function settles. */
const updating = new AsyncLocalStorage<{ owner: object; isRunning: boolean }>();

/** Runs a function that the application passed to `update`, and marks the code that it runs. */
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

/** @throws TypeError if a function passed to this owner's `update` runs the calling code */
export function refuseWithinUpdate(owner: object): void {
  const run = updating.getStore();
  if (run?.owner !== owner || !run.isRunning) return;
  throw new TypeError(
    "a function passed to update() may only read and change the data, because it may run again; update() saves its changes",
  );
}
