import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { beforeOf, setBefore } from "./lib/before.ts";
import { budgetTable } from "./lib/budget.ts";
import { contenderFiles } from "./lib/fleet.ts";
import { machine } from "./lib/machine.ts";
import { putIntoPage } from "./lib/page.ts";
import { installPeers } from "./lib/peers.ts";
import type { Question } from "./lib/question.ts";
import { formatTable } from "./lib/table.ts";

/** `npm run bench`: asks the questions, prints their tables, keeps the numbers, draws the plots. */
const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    contender: { type: "string", multiple: true },
    before: { type: "string" },
    processes: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

const questionFiles = readdirSync(join(import.meta.dirname, "questions"))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replace(/\.ts$/, ""))
  .sort();
const load = async (file: string): Promise<Question> => (await import(`./questions/${file}.ts`)).question;

if (values.help) {
  console.log(`npm run bench [-- options]

  --only <question>     only this question; may be repeated
  --contender <name>    only this contender, and what it is measured against; may be repeated
  --before <folder>     beside our contenders, the same applications over the src of another
                        checkout, as "…, before", in cpu, cpu-size, end-to-end,
                        memory-store, start-up and instructions
  --processes <n>       how many processes of each contender run, one after another, in cpu,
                        cpu-size and end-to-end (default 3, 3 and 2): more show smaller differences
  --quick               sees that everything runs; its numbers mean nothing
  --help                this

Questions:`);
  for (const file of questionFiles) console.log(`  ${file.padEnd(12)} ${(await load(file)).title}`);
  console.log(`\nContenders:\n  ${contenderFiles.join("\n  ")}`);
  process.exit();
}

refuseUnknown("question", values.only, questionFiles);
refuseUnknown("contender", values.contender, contenderFiles);
const processes = values.processes === undefined ? undefined : Number(values.processes);
if (processes !== undefined && !(Number.isSafeInteger(processes) && processes > 0)) {
  console.error("--processes must be a whole number from 1");
  process.exit(1);
}
const ours = contenderFiles.filter((file) => file.startsWith("sojourn-"));
let contenders: readonly string[] | undefined = values.contender;
if (values.before !== undefined) {
  setBefore(values.before);
  contenders = (contenders ?? ours).flatMap((file) => (ours.includes(file) ? [file, beforeOf(file)] : [file]));
}
installPeers();

const root = join(import.meta.dirname, "..");
const results = join(import.meta.dirname, "results");
mkdirSync(results, { recursive: true });
const isWhole = !values.quick && contenders === undefined;
const about = machine();
console.log(
  `${Object.entries(about)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ")}\n`,
);

for (const file of values.only ?? questionFiles) {
  const question = await load(file);
  const started = performance.now();
  const { tables, summary, verdicts, plots, data } = await question.ask({
    quick: values.quick,
    contenders,
    processes,
    progress: (text) => console.error(`… ${text}`),
  });
  const judged = !values.quick && verdicts.length > 0 ? [budgetTable(verdicts)] : [];
  const text = [...tables, ...judged].map(formatTable).join("\n");
  console.log(`\n${text}`);
  if (values.quick) console.log("A quick run: these numbers mean nothing, and no budget is judged by them.\n");
  const took = `${((performance.now() - started) / 1_000).toFixed(0)} s`;
  writeFileSync(
    join(results, `${file}.json`),
    `${JSON.stringify({ machine: about, took, verdicts, data }, undefined, 1)}\n`,
  );
  // Only a whole run's numbers are for readers.
  if (isWhole) putIntoPage(join(import.meta.dirname, "RESULTS.md"), file, text);
  if (isWhole && summary !== undefined) putIntoPage(join(root, "docs/PERFORMANCE.md"), file, formatTable(summary));
  for (const [name, svg] of Object.entries(plots)) {
    // The one that docs/PERFORMANCE.md shows is beside it.
    const folder = isWhole ? join(root, name === "bench-cpu.svg" ? "docs" : "bench/plots") : results;
    writeFileSync(join(folder, name), svg);
    console.log(`Plot: ${relative(root, join(folder, name))}`);
  }
  console.log(`Numbers: ${relative(root, join(results, `${file}.json`))} (${took})`);
}

function refuseUnknown(what: string, given: readonly string[] | undefined, known: readonly string[]): void {
  for (const name of given ?? []) {
    if (known.includes(name)) continue;
    console.error(`There is no ${what} ${name}; there are ${known.join(", ")}`);
    process.exit(1);
  }
}
