import { test } from "node:test";
import { runProgram } from "./run-program.ts";

/** https://vitest.dev: an application's own tests, in `apps/vitest`. */
test("Vitest: agents are remembered, and fake timers end sessions", () =>
  runProgram("node_modules/vitest/vitest.mjs", { args: ["run"], cwd: "apps/vitest" }));
