import { SojournError } from "../contract/errors.ts";
import type { Awaitable, IndexedStore, SessionStore } from "../contract/store.ts";
import { type Clock, systemClock } from "../contract/time.ts";
import { type StoreOperation, wrapStore } from "../wrap/wrap.ts";
import { type GatedOptions, refuseDelayedLoad } from "./gates.ts";

/** What happens to a call. */
export type Fault =
  /** Fails without reaching the store. Default error: `STORE_UNAVAILABLE`. */
  | { readonly kind: "error"; readonly error?: Error }
  /** Reaches the store this many milliseconds later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Never reaches the store and never settles. */
  | { readonly kind: "hang" }
  /** Takes effect, and fails for the caller, who can't know the outcome. */
  | { readonly kind: "lost reply"; readonly error?: Error }
  /** Takes effect and never settles. */
  | { readonly kind: "no reply" }
  /** Takes effect twice, as a resent message does. The caller gets the second answer. */
  | { readonly kind: "duplicate" };

/** A store that fails on request. */
export interface Faulty<Store extends SessionStore> {
  readonly store: Store;
  /** Every call so far, in order. */
  readonly calls: readonly StoreOperation[];
  /**
   * Applies a fault to the next `times` calls of an operation, or of any. Faults apply in the order
   * of these requests.
   *
   * @param times default 1; `Infinity` until `heal`
   * @throws TypeError when a synchronous load would have to wait
   */
  fail(operation: StoreOperation | "any", fault: Fault, times?: number): void;
  /** Cancels all further faults. */
  heal(): void;
}

/** Options for {@link faulty}. */
export interface FaultyOptions extends GatedOptions {
  /** Measures delays. Default: the system clock. */
  clock?: Clock;
}

/**
 * Wraps a store so that its calls fail on request, in the ways of a database behind a network.
 *
 * @example
 * import { MemoryStore, session } from "sojourn";
 * import { faulty } from "sojourn/testing";
 *
 * const { store, fail } = faulty(new MemoryStore());
 * fail("update", { kind: "lost reply" });
 * const sessions = session({ store }); // the next update fails, although the store has it
 */
export function faulty<Store extends SessionStore>(
  store: Store,
  options?: FaultyOptions,
): Faulty<Store extends IndexedStore ? IndexedStore : SessionStore>;
export function faulty(store: SessionStore, options: FaultyOptions = {}): Faulty<SessionStore> {
  const { clock = systemClock, synchronousLoad } = options;
  const calls: StoreOperation[] = [];
  let planned: { operation: StoreOperation | "any"; fault: Fault; times: number }[] = [];
  const wrapped = wrapStore(store, {
    synchronousLoad,
    around(operation, call) {
      calls.push(operation);
      const plan = planned.find((candidate) => candidate.operation === operation || candidate.operation === "any");
      if (plan === undefined) return call();
      plan.times--;
      if (plan.times === 0) planned = planned.filter((other) => other !== plan);
      return withFault(plan.fault, call, clock);
    },
  });
  return {
    store: wrapped,
    calls,
    fail(operation, fault, times = 1) {
      // A synchronous load can throw; every other fault needs a promise.
      if (fault.kind !== "error") refuseDelayedLoad(wrapped, operation === "any" ? "load" : operation, "faulty");
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

async function settled<T>(call: () => Awaitable<T>): Promise<void> {
  try {
    await call();
  } catch {}
}

function unavailable(): SojournError {
  return new SojournError("STORE_UNAVAILABLE", "A test cut the connection to the store.");
}
