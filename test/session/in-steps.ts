import type { IndexedStore } from "../../src/contract/store.ts";
import { intercept } from "../../src/testing/intercept.ts";

/** The same store without `replace`: a login is a `create` and an `update` there, as it is with any store that has the six methods alone. */
export function inSteps(store: IndexedStore): IndexedStore {
  const plain = intercept(store, (_operation, call) => call());
  delete plain.replace;
  return plain;
}
