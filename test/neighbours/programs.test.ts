import { test } from "node:test";
import { runProgram } from "./run-program.ts";

/** Generated handlers, below and above compression, morgan and apicache. A seed that fails is played again by `node programs/run.mjs <seed> 1`. */
test("400 generated handlers give the client what they give it without sessions", () =>
  runProgram("programs/run.mjs", { args: ["1", "400"] }));
