import type { IndexedStore } from "../contract/store.ts";
import { type Clock, setImmediate } from "../contract/time.ts";
import type { StoreAccess } from "./store-access.ts";

/** The average time between sweeps, at random moments so that processes don't sweep together. */
const INTERVAL_MS = 60_000;
export const BATCH = 1_000;
/** A batch of a synchronous store, which blocks the process no longer than a request does. */
const SYNCHRONOUS_BATCH = 250;

/** Deletes expired records in the background. */
export class Sweeper {
  readonly #clock: Clock;
  readonly #access: StoreAccess;
  readonly #store: IndexedStore;
  #cancel: (() => void) | undefined = undefined;
  #sweeping: Promise<void> | undefined = undefined;
  #isClosed = false;

  constructor(clock: Clock, access: StoreAccess, store: IndexedStore) {
    this.#clock = clock;
    this.#access = access;
    this.#store = store;
    this.#wait();
  }

  /** Stops sweeping. Settles when the current batch is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#sweeping;
  }

  #wait(): void {
    this.#cancel = this.#clock.after(INTERVAL_MS * (0.5 + Math.random()), () => {
      // The failure has emitted an event. The next sweep may succeed.
      this.#sweeping = this.#sweep()
        .catch(() => undefined)
        .then(() => {
          if (!this.#isClosed) this.#wait();
        });
    });
  }

  /** Deletes batches until one is not full, and lets other work run in between. */
  async #sweep(): Promise<void> {
    const batch = this.#store.synchronousLoad === true ? SYNCHRONOUS_BATCH : BATCH;
    while (!this.#isClosed) {
      const removed = await this.#access.commit("prune", () => this.#store.prune(batch));
      if (removed < batch) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
