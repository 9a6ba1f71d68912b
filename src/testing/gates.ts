import type { Awaitable, IndexedStore, SessionStore } from "../contract/store.ts";
import { type InterceptOptions, intercept, refuseWaitingLoad, type StoreOperation } from "./intercept.ts";

/** A call that is held. */
export interface Gate {
  /** Resolves when the call has come to the gate. */
  readonly reached: Promise<void>;
  /** Lets the call go on; also in advance. */
  release(): void;
}

/** A store, and how to hold its calls. */
export interface Gated<Store extends SessionStore> {
  readonly store: Store;
  /**
   * Holds a call of this operation: the next one, or with `nth` the second, the third … counted from now.
   * `"before"` it reaches the store, or `"after"` the store has done it, before its answer is given.
   *
   * @throws TypeError for the load of a store whose loads are synchronous
   */
  hold(operation: StoreOperation, when: "before" | "after", nth?: number): Gate;
}

interface Waiting extends Gate {
  readonly operation: StoreOperation;
  readonly when: "before" | "after";
  callsLeft: number;
  pass(): Promise<void>;
}

/**
 * Wraps a store so that a test decides in which order its calls take effect, instead of sleeping and hoping.
 *
 * @example
 * const { store, hold } = gated(new MemoryStore());
 * const update = hold("update", "before");
 * const saving = sessionOfOneRequest.save();
 * await update.reached;          // the request is about to write
 * await store.delete(handle);    // meanwhile the user logs out
 * update.release();              // the write comes too late
 */
export function gated(store: IndexedStore, options?: InterceptOptions): Gated<IndexedStore>;
export function gated(store: SessionStore, options?: InterceptOptions): Gated<SessionStore>;
export function gated(store: SessionStore, options: InterceptOptions = {}): Gated<SessionStore> {
  let gates: Waiting[] = [];

  function around<T>(operation: StoreOperation, call: () => Awaitable<T>): Awaitable<T> {
    const mine = gates.filter((gate) => gate.operation === operation && --gate.callsLeft === 0);
    if (mine.length === 0) return call();
    gates = gates.filter((gate) => !mine.includes(gate));
    return passing(mine, call);
  }

  const wrapped = intercept(store, around, options);
  return {
    store: wrapped,
    hold(operation, when, nth = 1) {
      refuseWaitingLoad(wrapped, operation, "gated");
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
