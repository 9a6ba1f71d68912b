import { type Clock, systemClock } from "../../src/contract/time.ts";
import { broken, isBreakage } from "./broken-stores.ts";
import { portOf, startSite } from "./site.ts";
import { isStoreName, openStore } from "./stores.ts";

/**
 * One of the processes of the application: `site-process.ts <store> <place> <skew in ms> [breakage]`. Says its port to whoever
 * started it, sets its clock as it is told, and ends with it.
 */
const [name = "", place = "", skew = "0", breakage = ""] = process.argv.slice(2);
if (!isStoreName(name)) throw new Error(`no store is named ${name}`);

let skewMs = Number(skew);
const clock: Clock = { now: () => systemClock.now() + skewMs, after: systemClock.after };
process.on("message", (told) => {
  skewMs = Number(told);
});
process.on("disconnect", () => process.exit());

const store = openStore(name, place, clock);
const { server } = await startSite(isBreakage(breakage) ? broken(store, breakage) : store, clock);
process.send?.(portOf(server));
