import { test } from "node:test";
import { runtime } from "../../scripts/cached-tools.ts";
import { runProgram } from "./run-program.ts";

/** Generated handlers, below and above compression, morgan and apicache. A seed that fails is played again by `node programs/run.mjs <seed> 1`. */
const PROGRAMS = { args: ["1", "400"] };

test("400 generated handlers give the client what they give it without sessions", () =>
  runProgram("programs/run.mjs", PROGRAMS));

for (const version of ["20.19", "22", "26"]) {
  test(`400 generated handlers give the client the same on Node ${version}`, () =>
    runProgram("programs/run.mjs", { ...PROGRAMS, node: runtime(version) }));
}
