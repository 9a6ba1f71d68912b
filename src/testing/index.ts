/** For tests, of this library's stores and of anyone's. Nothing in here belongs into production. */
export type * from "../contract/types.ts";
export { type ConformanceTarget, storeConformance } from "./conformance.ts";
export { type Fault, type Faulty, type FaultyOptions, faulty } from "./faulty-store.ts";
export { type Gate, type Gated, gated } from "./gates.ts";
export type { InterceptOptions, StoreOperation } from "./intercept.ts";
export { ManualClock } from "./manual-clock.ts";
