import type { IndexedStore } from "../contract/store.ts";
import { type Clock, setImmediate } from "../contract/time.ts";
import type { StoreAccess } from "./store-access.ts";

/** About once a minute, at a random moment, so that processes don't sweep together. */
const INTERVAL_MS = 60_000;
export const BATCH = 1_000;
/** A batch of a store in this process, which blocks the process for no longer than a request would. */
const SYNCHRONOUS_BATCH = 250;

/** Removes expired records in the background. */
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

  /** Ends when the batch in progress is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#sweeping;
  }

  #wait(): void {
    this.#cancel = this.#clock.after(INTERVAL_MS * (0.5 + Math.random()), () => {
      // The store's failure is an event; the next sweep may succeed.
      this.#sweeping = this.#sweep()
        .catch(() => undefined)
        .then(() => {
          if (!this.#isClosed) this.#wait();
        });
    });
  }

  /** Removes batch after batch, with other work in between, until a batch is not full. */
  async #sweep(): Promise<void> {
    const batch = this.#store.synchronousLoad === true ? SYNCHRONOUS_BATCH : BATCH;
    while (!this.#isClosed) {
      const removed = await this.#access.commit("prune", () => this.#store.prune(batch));
      if (removed < batch) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
