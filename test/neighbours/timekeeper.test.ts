import { fakeTimeSuite } from "./fake-time.ts";
import { load } from "./world.ts";

/** https://www.npmjs.com/package/timekeeper: `Date` is another one, which travels or is frozen. */
const timekeeper = load("timekeeper");

fakeTimeSuite("timekeeper.travel", () => ({
  advance: (ms) => timekeeper.travel(new Date(Date.now() + ms)),
  restore: () => timekeeper.reset(),
}));

fakeTimeSuite("timekeeper.freeze", () => {
  timekeeper.freeze(new Date());
  return { advance: (ms) => timekeeper.freeze(new Date(Date.now() + ms)), restore: () => timekeeper.reset() };
});
