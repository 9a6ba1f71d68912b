import type { Awaitable, IndexedStore } from "../../src/index.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";

/** Delays each call and each answer by some turns of the event loop, as a network does. */
export function asynchronous(store: IndexedStore, turns: () => number = () => 1): IndexedStore {
  const wait = async (): Promise<void> => {
    for (let left = turns(); left > 0; left -= 1) await new Promise((resolve) => setImmediate(resolve));
  };
  async function around<T>(_operation: string, call: () => Awaitable<T>): Promise<T> {
    await wait();
    const answer = await call();
    await wait();
    return answer;
  }
  return wrapStore(store, { around, synchronousLoad: false });
}
