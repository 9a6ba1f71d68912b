import { type Clock, systemClock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable, IndexedStore, SessionStore } from "../contract/store.ts";
import { type InterceptOptions, intercept, refuseWaitingLoad, type StoreOperation } from "./intercept.ts";

/** What happens to a call. */
export type Fault =
  /** It never reaches the store and fails; by default with `STORE_UNAVAILABLE`. */
  | { readonly kind: "error"; readonly error?: Error }
  /** It reaches the store this many milliseconds later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** It never reaches the store and is never answered. */
  | { readonly kind: "hang" }
  /** The store does it, and the caller is told that it failed: nobody can know. */
  | { readonly kind: "lost reply"; readonly error?: Error }
  /** The store does it, and is never heard of again. */
  | { readonly kind: "no reply" }
  /** The store does it twice, as when a message is sent again, and the second answer is given. */
  | { readonly kind: "duplicate" };

/** A store that fails on request. */
export interface Faulty<Store extends SessionStore> {
  readonly store: Store;
  /** Every call so far, in order. */
  readonly calls: readonly StoreOperation[];
  /**
   * The next `times` calls of this operation, or of any, meet the fault. Faults are met in the order they were asked for.
   *
   * @param times default 1; `Infinity` until `heal`
   * @throws TypeError where the load of a synchronous store would have to wait
   */
  fail(operation: StoreOperation | "any", fault: Fault, times?: number): void;
  /** Forgets the faults that are still to come. */
  heal(): void;
}

/** How a faulty store behaves otherwise. */
export interface FaultyOptions extends InterceptOptions {
  /** Measures delays. Default: the machine's time. */
  clock?: Clock;
}

/**
 * Wraps a store whose calls can be told to fail, in each of the ways in which a database behind a network does.
 *
 * @example
 * const { store, fail } = faulty(new MemoryStore());
 * fail("update", { kind: "lost reply" });
 * await rejects(() => store.update(handle, record, 1)); // and yet it was written
 */
export function faulty(store: IndexedStore, options?: FaultyOptions): Faulty<IndexedStore>;
export function faulty(store: SessionStore, options?: FaultyOptions): Faulty<SessionStore>;
export function faulty(store: SessionStore, options: FaultyOptions = {}): Faulty<SessionStore> {
  const clock = options.clock ?? systemClock;
  const calls: StoreOperation[] = [];
  let planned: { operation: StoreOperation | "any"; fault: Fault; times: number }[] = [];

  function around<T>(operation: StoreOperation, call: () => Awaitable<T>): Awaitable<T> {
    calls.push(operation);
    const plan = planned.find((candidate) => candidate.operation === operation || candidate.operation === "any");
    if (plan === undefined) return call();
    plan.times--;
    if (plan.times === 0) planned = planned.filter((other) => other !== plan);
    return withFault(plan.fault, call, clock);
  }

  const wrapped = intercept(store, around, options);
  return {
    store: wrapped,
    calls,
    fail(operation, fault, times = 1) {
      // An error can also be thrown at once; everything else takes a promise.
      if (fault.kind !== "error") refuseWaitingLoad(wrapped, operation === "any" ? "load" : operation, "faulty");
      planned.push({ operation, fault, times });
    },
    heal() {
      planned = [];
    },
  };
}

function withFault<T>(fault: Fault, call: () => Awaitable<T>, clock: Clock): Awaitable<T> {
  switch (fault.kind) {
    case "error":
      throw fault.error ?? unavailable();
    case "delay":
      return new Promise<void>((resolve) => clock.after(fault.ms, resolve)).then(call);
    case "hang":
      return new Promise<T>(() => {});
    case "lost reply":
      return settled(call).then(() => {
        throw fault.error ?? unavailable();
      });
    case "no reply":
      return settled(call).then(() => new Promise<T>(() => {}));
    case "duplicate":
      return settled(call).then(call);
  }
}

/** Whatever its outcome. */
async function settled<T>(call: () => Awaitable<T>): Promise<void> {
  try {
    await call();
  } catch {}
}

function unavailable(): SojournError {
  return new SojournError("STORE_UNAVAILABLE", "A test cut the connection to the store.");
}
