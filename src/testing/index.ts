/** For tests, of this library's stores and of anyone's. Nothing in here belongs into production. */
export { ManualClock } from "./manual-clock.ts";
