// What importing the core brings with it: no package, and no large module of Node that it has no use for.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import * as sojourn from "sojourn";

assert.equal(typeof sojourn.session, "function");
assert.deepEqual(
  readdirSync(new URL("node_modules", import.meta.url)).filter((name) => !name.startsWith(".")),
  ["sojourn"],
);
for (const name of ["sqlite", "child_process"])
  assert.ok(!process.moduleLoadList.includes(`NativeModule ${name}`), `importing sojourn loads node:${name}`);
