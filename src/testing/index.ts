/** For tests of stores, Sojourn's and your own. Nothing in here belongs into production. */
export type * from "../contract/types.ts";
export type { StoreOperation } from "../wrap/wrap.ts";
export { type ConformanceTarget, storeConformance } from "./conformance.ts";
export { type Fault, type Faulty, type FaultyOptions, faulty } from "./faulty-store.ts";
export { type Gate, type Gated, type GatedOptions, gated } from "./gates.ts";
export { ManualClock } from "./manual-clock.ts";
