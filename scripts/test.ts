import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { relative, resolve, sep } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { parseArgs } from "node:util";
import { allowedSkips } from "./allowed-skips.ts";
import { startMissingServers } from "./test-servers.ts";

/**
 * Runs the tests: `npm test [-- <path or part of one>…] [--name <pattern>] [--coverage]`.
 *
 * Fails on: a failed test; a rejection that nobody handled, even after its test had ended; a process that a test left
 * unable to exit; a file without a test; a filter that matches nothing; and, where `CI=true`, a skipped test that
 * `allowed-skips.ts` does not name.
 */
const root = resolve(import.meta.dirname, "..");
process.chdir(root);

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: "string", short: "t", multiple: true },
    coverage: { type: "boolean", default: false },
    // Only the tests with other libraries, which load the package as it is packed, not its source: `scripts/neighbours.ts`.
    packed: { type: "boolean", default: false },
  },
});

/** The suite takes about four minutes on two cores; this bound only ends a run that hangs. */
const RUN_TIMEOUT_MS = 30 * 60_000;
/** For one test. The slowest of them are the fuzzers, which have budgets of seconds. */
const TEST_TIMEOUT_MS = 2 * 60_000;

const ci = process.env.CI === "true";
// One more than cores: many tests wait for a server, a child process or a deadline.
const concurrency = Math.max(2, availableParallelism() + 1);
/** They take long and need more than Node. Their own commands run them, and CI does: `npm run test:browser`, `test:package`. */
const APART = /^test\/(?:browser|package)\/|\/browser\.test\.ts$/;
const filters = positionals.map((filter) => (relative(root, resolve(root, filter)) || ".").split(sep).join("/"));
const files = globSync(["test/**/*.test.ts", "packages/*/test/*.test.ts"], {
  exclude: ["test/package/apps/**", "test/neighbours/{apps,node_modules}/**"],
})
  .map((file) => file.split(sep).join("/"))
  .filter((file) => file.startsWith("test/neighbours/") === values.packed)
  .filter((file) =>
    filters.length === 0 ? !APART.test(file) : filters.some((filter) => filter === "." || file.includes(filter)),
  )
  .sort();

console.log(`Node ${process.version}, ${files.length} test files, ${concurrency} at a time${ci ? ", CI" : ""}`);
if (filters.length === 0) console.log("Apart: npm run test:browser, npm run test:package, npm run test:neighbours");
if (files.length === 0) {
  console.error(`No test file matches ${filters.join(", ") || "the tests"}.`);
  process.exit(1);
}

// Express prints every error that reaches its own handler unless it is told that this is a test.
process.env.NODE_ENV ??= "test";

const counts = { passed: 0, failed: 0, skipped: 0 };
const skips: { file: string; name: string; reason: string; allowed: boolean }[] = [];
const durations: { file: string; ms: number }[] = [];
const problems: string[] = [];
let finished = false;

const stopServers = await startMissingServers();
const results = run({
  files,
  concurrency,
  timeout: TEST_TIMEOUT_MS,
  signal: AbortSignal.timeout(RUN_TIMEOUT_MS),
  execArgv: [
    ...(values.packed ? [] : ["--conditions=sojourn-source"]),
    "--disable-warning=ExperimentalWarning",
    "--import=./scripts/test-guard.ts",
  ],
  ...(values.name && { testNamePatterns: values.name.map((pattern) => new RegExp(pattern)) }),
  ...(values.coverage && { coverage: true, coverageIncludeGlobs: ["src/**"] }),
});

results.on("test:complete", ({ name, file, details }) => {
  if (file !== undefined && resolve(root, name) === file) durations.push({ file: name, ms: details.duration_ms });
});

results.on("test:pass", (test) => {
  const { name, file = "", skip, todo, details } = test;
  const path = testFile(test);
  if (resolve(root, name) === file) {
    // Node reports a file of its own only where nothing in it was reported.
    if (!values.name) problems.push(`${path} holds no test`);
    return;
  }
  if (skip === undefined && todo === undefined) {
    if (details.type !== "suite") counts.passed++;
    return;
  }
  const given = skip ?? todo;
  const reason = typeof given === "string" && given !== "" ? given : skip === undefined ? "to do" : "no reason given";
  const allowed = allowedSkips.some((entry) => entry.file === path && entry.name === name);
  skips.push({ file: path, name, reason, allowed });
  counts.skipped++;
});

results.on("test:fail", (test) => {
  const { name, todo, details } = test;
  if (todo !== undefined) {
    skips.push({ file: testFile(test), name, reason: "to do, and failing", allowed: false });
    counts.skipped++;
  } else if (details.type !== "suite") counts.failed++;
});

results.on("test:summary", ({ file, success }) => {
  if (file !== undefined) return;
  finished = true;
  if (!success) problems.push("a test failed");
});

results.compose(spec).pipe(process.stdout);
results.on("end", () => {
  if (!finished) problems.push("the run did not come to its end");
  void stopServers();
});

process.on("exit", () => {
  const refused = skips.filter((skip) => !skip.allowed);
  if (skips.length > 0) {
    console.log("\nSkipped:");
    for (const { file, name, reason, allowed } of skips)
      console.log(`  ${allowed ? "allowed" : "skipped"}  ${file}: ${name} (${reason})`);
  }
  const slowest = durations.sort((a, b) => b.ms - a.ms).slice(0, 5);
  console.log(`\nSlowest: ${slowest.map(({ file, ms }) => `${file} ${(ms / 1000).toFixed(1)} s`).join(", ")}`);
  if (ci && refused.length > 0) problems.push(`${refused.length} skipped, which CI does not allow`);
  if (!finished && problems.length === 0) problems.push("the run did not come to its end");
  const { passed, failed, skipped } = counts;
  const verdict = problems.length === 0 ? "PASS" : `FAIL (${problems.join("; ")})`;
  console.log(`\n${verdict}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${files.length} files`);
  if (problems.length > 0) process.exitCode = 1;
});

/** The file that was run, which a test that a helper declared was not written in. */
function testFile(test: { file?: string | undefined }): string {
  const file = "entryFile" in test && typeof test.entryFile === "string" ? test.entryFile : (test.file ?? "");
  return relative(root, file).split(sep).join("/");
}
