import type { IndexedStore } from "../../src/contract/store.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";

/** The same store without `replace`: a login is a `create` and an `update` there, as it is with any store that has the six methods alone. */
export function inSteps(store: IndexedStore): IndexedStore {
  const plain = wrapStore(store, {});
  delete plain.replace;
  return plain;
}
