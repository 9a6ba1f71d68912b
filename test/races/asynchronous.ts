import type { Awaitable, IndexedStore } from "../../src/index.ts";
import { intercept } from "../../src/testing/intercept.ts";

/** The store as if it were behind a network: it gets every call, and every answer is told, some turns of the event loop later. */
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
  return intercept(store, around, { synchronousLoad: false });
}
