import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { VisitedFile } from "../../scripts/request-way.ts";

const MOST_FILES = 20;

/** The files that run for one request, from a process of its own: this one may collect coverage. */
function wayOfARequest(): VisitedFile[] {
  const script = join(import.meta.dirname, "../../scripts/request-way.ts");
  const { NODE_V8_COVERAGE: _, ...env } = process.env;
  const run = spawnSync(process.execPath, ["--conditions=sojourn-source", script, "--json"], { env, encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout);
}

describe("the way of one request with a session in memory", () => {
  const way = wayOfARequest();

  test(`leads through at most ${MOST_FILES} files`, () => {
    const files = new Set(way.map(({ file }) => file));
    assert.ok(files.size <= MOST_FILES, `${files.size} files:\n${[...files].join("\n")}`);
    // A measurement that fails sees no files.
    for (const file of ["src/http/request-session.ts", "src/http/held-response.ts", "src/session/commit.ts"])
      assert.ok(files.has(file), `${file} did not run:\n${[...files].join("\n")}`);
  });

  test("verifies the token once", () => {
    const token = way.find(({ file }) => file === "src/crypto/token.ts");
    const calls = new Map(token?.functions);
    assert.equal(calls.get("verify"), 1, JSON.stringify(way, undefined, 1));
  });
});
