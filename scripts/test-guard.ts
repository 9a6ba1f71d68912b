import { after } from "node:test";

/** Loaded into every test process: what a test leaves behind is a failure, not a hang and not a line nobody reads. */

/** For everything that a file starts to be gone after its last test. Idle keep-alive connections take five seconds. */
const EXIT_TIMEOUT_MS = 15_000;
/** For a whole file, far above the slowest one even where the machine has other work. */
const FILE_TIMEOUT_MS = 900_000;

/** Unref'd, so that it fires only where something else keeps the process alive. */
function failAfter(ms: number, what: string): void {
  setTimeout(() => {
    const holding = process.getActiveResourcesInfo().join(", ");
    console.error(`This test file ${what} after ${ms / 1000} s. What keeps it alive: ${holding}`);
    process.exit(1);
  }, ms).unref();
}

failAfter(FILE_TIMEOUT_MS, "is still running");

let ended = false;
after(() => {
  ended = true;
  failAfter(EXIT_TIMEOUT_MS, "can't exit though its tests have ended");
});
process.on("exit", (code) => {
  if (ended || code !== 0) return;
  console.error("This test file ended before its tests did.");
  process.exitCode = 1;
});

process.on("warning", (warning) => {
  if (warning.name === "MaxListenersExceededWarning") throw warning;
});
