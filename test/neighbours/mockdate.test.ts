import { fakeTimeSuite } from "./fake-time.ts";
import { load } from "./world.ts";

/** https://www.npmjs.com/package/mockdate: `Date` is another one, which stands still. */
const MockDate = load("mockdate");

fakeTimeSuite("MockDate", () => {
  MockDate.set(Date.now());
  return { advance: (ms) => MockDate.set(Date.now() + ms), restore: () => MockDate.reset() };
});
