import { test } from "node:test";
import { runProgram } from "./run-program.ts";

/**
 * https://jestjs.io: applications' own tests, whose modules Jest loads itself, by `require`. Its files are in `apps/jest`: `require()` of the
 * package, `import` that Babel makes `require()` of, the drop-in, `jest.mock`, and fake timers in all of them.
 */
test("Jest: the package loads by require() and by Babel, and fake timers end sessions", () =>
  runProgram("node_modules/jest/bin/jest.js", { args: ["--ci", "--runInBand", "--no-cache"], cwd: "apps/jest" }));
