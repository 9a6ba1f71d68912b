import type { Awaitable, IndexedStore, SessionStore } from "../contract/store.ts";
import { type StoreOperation, wrapStore } from "../wrap/wrap.ts";

/** Holds one call. */
export interface Gate {
  /** Resolves when the call has reached the gate. */
  readonly reached: Promise<void>;
  /** Lets the call continue; also in advance. */
  release(): void;
}

/** A store whose calls a test can hold. */
export interface Gated<Store extends SessionStore> {
  readonly store: Store;
  /**
   * Holds one call of an operation: `"before"` it reaches the store, or `"after"` it took effect,
   * before the answer.
   *
   * @param nth 1, the default, holds the next call, 2 the one after it
   * @throws TypeError for the load of a synchronous store
   */
  hold(operation: StoreOperation, when: "before" | "after", nth?: number): Gate;
}

/** Options for {@link gated}. */
export interface GatedOptions {
  /** `false` declares that loads are asynchronous. Default: what the store declares. */
  synchronousLoad?: false;
}

interface Waiting extends Gate {
  readonly operation: StoreOperation;
  readonly when: "before" | "after";
  callsLeft: number;
  pass(): Promise<void>;
}

/**
 * Wraps a store so that a test decides in which order calls take effect, without sleeping.
 *
 * @example
 * import { MemoryStore } from "sojourn";
 * import { gated } from "sojourn/testing";
 *
 * const { store, hold } = gated(new MemoryStore());
 * const gate = hold("delete", "before");
 * const deleted = store.delete("handle");
 * await gate.reached; // the store is about to delete
 * gate.release();
 * await deleted;
 */
export function gated<Store extends SessionStore>(
  store: Store,
  options?: GatedOptions,
): Gated<Store extends IndexedStore ? IndexedStore : SessionStore>;
export function gated(store: SessionStore, { synchronousLoad }: GatedOptions = {}): Gated<SessionStore> {
  let gates: Waiting[] = [];
  const wrapped = wrapStore(store, {
    synchronousLoad,
    around(operation, call) {
      const mine = gates.filter((gate) => gate.operation === operation && --gate.callsLeft === 0);
      if (mine.length === 0) return call();
      gates = gates.filter((gate) => !mine.includes(gate));
      return passing(mine, call);
    },
  });
  return {
    store: wrapped,
    hold(operation, when, nth = 1) {
      refuseDelayedLoad(wrapped, operation, "gated");
      const gate = gateFor(operation, when, nth);
      gates.push(gate);
      return gate;
    },
  };
}

async function passing<T>(gates: readonly Waiting[], call: () => Awaitable<T>): Promise<T> {
  for (const gate of gates) if (gate.when === "before") await gate.pass();
  try {
    return await call();
  } finally {
    // An error is an answer too.
    for (const gate of gates) if (gate.when === "after") await gate.pass();
  }
}

/** Refuses to delay a synchronous load, whose caller expects a plain value. */
export function refuseDelayedLoad(store: SessionStore, operation: StoreOperation, wrapper: string): void {
  if (operation !== "load" || store.synchronousLoad !== true) return;
  throw new TypeError(`${wrapper}: a synchronous load can't wait; use ${wrapper}(store, { synchronousLoad: false })`);
}

function gateFor(operation: StoreOperation, when: "before" | "after", nth: number): Waiting {
  let arrive = () => {};
  let release = () => {};
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    operation,
    when,
    callsLeft: nth,
    reached,
    release: () => release(),
    pass() {
      arrive();
      return released;
    },
  };
}
