import { parseArgs } from "node:util";
import { breakages, isBreakage } from "./broken-stores.ts";
import { lineOf } from "./history.ts";
import { type Report, soak } from "./soak.ts";
import { isStoreName, type StoreName, storeNames } from "./stores.ts";

const HELP = `npm run soak [-- options]

Three processes of an application, twenty clients, one store; and faults: processes and servers stopped and killed, a bad network, locks, clocks
that are wrong. Afterwards what every client was told is checked against seven invariants (test/soak/checker.ts).

  --seconds <n>    for each store, 300 unless told otherwise
  --store <name>   ${storeNames.join(", ")}; several times for several; all of them unless told otherwise
  --seed <n>       which operations and which faults, as printed by an earlier run. When they meet is never the same
  --rate <n>       requests a second, of all stores together; 200 unless told otherwise
  --at-once <n>    stores at a time, 1 unless told otherwise
  --broken <how>   to see it fail: ${Object.keys(breakages).join(", ")}
  --help
`;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "300" },
    store: { type: "string", multiple: true, default: [...storeNames] },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    rate: { type: "string", default: "200" },
    "at-once": { type: "string", default: "1" },
    broken: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const [seconds, seed, rate, atOnce] = [values.seconds, values.seed, values.rate, values["at-once"]].map(Number);
const names = values.store.filter(isStoreName);
const isUnderstood =
  isCount(seconds) && isCount(seed) && isCount(rate) && isCount(atOnce) && names.length === values.store.length;
if (!isUnderstood || (values.broken !== undefined && !isBreakage(values.broken))) {
  console.error(HELP);
  process.exit(2);
}

const turn = pace(rate ?? 200);
const waiting = [...new Set(names)];
const failed: StoreName[] = [];
const began = performance.now();
await Promise.all(
  Array.from({ length: atOnce ?? 1 }, async () => {
    for (let store = waiting.shift(); store !== undefined; store = waiting.shift()) await run(store);
  }),
);
const took = Math.round((performance.now() - began) / 1_000);
console.log(`\n${failed.length === 0 ? "PASS" : `FAIL: ${failed.join(", ")}`} in ${took} s, seed ${seed}`);
process.exit(failed.length === 0 ? 0 : 1);

async function run(store: StoreName): Promise<void> {
  console.log(`${store}: ${seconds} s, seed ${seed}`);
  const progress = (line: string) => console.log(`${store}: ${line}`);
  const report = await soak({
    store,
    seconds: seconds ?? 300,
    seed: seed ?? 1,
    turn,
    breakage: values.broken,
    progress,
  });
  if (!tell(store, report)) failed.push(store);
}

/** @returns whether all is as it should be */
function tell(store: StoreName, { history, incidents, violations, problems }: Report): boolean {
  const { operations } = history;
  const by = (outcome: string) => operations.filter((operation) => operation.outcome === outcome).length;
  const isGood = violations.length === 0 && problems.length === 0;
  console.log(
    `${store}: ${isGood ? "PASS" : "FAIL"}: ${operations.length} operations, ${by("done")} acknowledged, ${by("unknown")} indeterminate, ` +
      `${by("absent")} found no session, ${by("refused")} refused; ${incidents.length} faults of ${new Set(incidents.map(({ name }) => name)).size} kinds`,
  );
  for (const problem of problems) console.log(`${store}: ${problem}`);
  for (const { invariant, message, operations: mine } of violations.slice(0, 5)) {
    console.log(`${store}: invariant ${invariant}: ${message}`);
    const shown = mine.length <= 12 ? mine : [...mine.slice(0, 4), ...mine.slice(-8)];
    for (const operation of shown) console.log(`    ${lineOf(operation)}`);
  }
  if (violations.length > 5) console.log(`${store}: … and ${violations.length - 5} violations more`);
  if (!isGood) {
    for (const { name, from, to } of incidents) console.log(`    ${from.toFixed(1)}..${to.toFixed(1)} s ${name}`);
    console.log(`Again: npm run soak -- --store ${store} --seconds ${seconds} --seed ${seed}`);
  }
  return isGood;
}

function isCount(number: number | undefined): boolean {
  return number !== undefined && Number.isSafeInteger(number) && number > 0;
}

/** So many turns a second, and no burst after a quiet time. */
function pace(perSecond: number): () => Promise<void> {
  let next = 0;
  return () => {
    const now = performance.now();
    next = Math.max(now, next + 1_000 / perSecond);
    return new Promise((resolve) => setTimeout(resolve, next - now));
  };
}
