import { fakeTimeSuite } from "./fake-time.ts";
import { load } from "./world.ts";

/** https://sinonjs.org/releases/latest/fake-timers: `Date`, `setTimeout`, `setInterval` and `setImmediate` are all replaced. */
const sinon = load("sinon");

fakeTimeSuite("sinon's fake timers", () => {
  const clock = sinon.useFakeTimers({
    now: Date.now(),
    toFake: ["Date", "setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "clearImmediate"],
  });
  return { advance: (ms) => clock.tick(ms), restore: () => clock.restore() };
});

fakeTimeSuite("sinon's fake Date", () => {
  const clock = sinon.useFakeTimers({ now: Date.now(), toFake: ["Date"] });
  return { advance: (ms) => clock.tick(ms), restore: () => clock.restore() };
});

fakeTimeSuite("sinon.stub(Date, 'now')", () => {
  let now = Date.now();
  const stub = sinon.stub(Date, "now").callsFake(() => now);
  return {
    advance: (ms) => {
      now += ms;
    },
    restore: () => stub.restore(),
  };
});
