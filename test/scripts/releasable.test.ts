import assert from "node:assert/strict";
import { test } from "node:test";
import { missing } from "../../scripts/releasable.ts";

const complete = {
  name: "sojourn",
  repository: { url: "git+https://git.example/someone/sojourn.git" },
  homepage: "https://sojourn.example/docs",
  bugs: { url: "https://git.example/someone/sojourn/issues" },
};

test("a package that says where it comes from may be released", () => {
  assert.deepEqual(missing(complete, "."), []);
  assert.deepEqual(missing({ name: "sojourn", repository: complete.repository }, "packages/some"), []);
});

test("a release is refused while repository, homepage or bugs is missing or no address", () => {
  for (const field of ["repository", "homepage", "bugs"])
    for (const value of [undefined, "", "TODO"])
      assert.deepEqual(missing({ ...complete, [field]: value }, "."), [`package.json: ${field} is no https address`]);
});

test("a private package is not released", () => {
  assert.deepEqual(missing({ ...complete, private: true }, "."), ["package.json: the package is private"]);
});
