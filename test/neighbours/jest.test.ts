import { describe, test } from "node:test";
import { runProgram } from "./test-runners.ts";

/** https://jestjs.io: applications' own tests, whose modules Jest loads itself, by `require`. Their files are in `apps/jest`. */
describe("Jest", () => {
  const files = {
    "requires.test.js": "require() of the package, and fake timers",
    "imports.test.js": "import, which Babel makes require() of",
    "drop-in.test.js": "the drop-in for express-session",
    "mocks.test.js": "jest.mock and jest.isolateModules",
  };
  for (const [file, what] of Object.entries(files))
    test(what, () => runProgram("jest", "jest/bin/jest.js", "--ci", "--runInBand", "--no-cache", file).then(() => {}));
});
