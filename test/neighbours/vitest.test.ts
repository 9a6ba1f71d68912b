import { test } from "node:test";
import { runProgram } from "./test-runners.ts";

/** https://vitest.dev: an application's own tests, in `apps/vitest`. */
test("Vitest: agents are remembered, and fake timers end sessions", () =>
  runProgram("vitest", "vitest/vitest.mjs", "run").then(() => {}));
