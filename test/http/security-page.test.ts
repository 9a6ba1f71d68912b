import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");

test("every test that docs/SECURITY.md names exists, and every promise names one", () => {
  const page = readFileSync(join(ROOT, "docs/SECURITY.md"), "utf8");
  const rows = page
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| promise") && !line.startsWith("| ---"));
  assert.ok(rows.length > 50);
  for (const row of rows) {
    const shown = row.split(" | ").at(-1)?.replace(/ \|$/, "") ?? "";
    const references = [...shown.matchAll(/`(test\/[\w./-]+)`: ((?:"[^"]+"(?:, )?)+)/g)];
    assert.ok(references.length > 0, `no test: ${row}`);
    for (const [, file = "", names = ""] of references) {
      const path = join(ROOT, file);
      assert.ok(existsSync(path), `no file ${file}`);
      const source = readFileSync(path, "utf8");
      for (const [, name = ""] of names.matchAll(/"([^"]+)"/g))
        assert.ok(source.includes(name), `${file} has no test "${name}"`);
    }
    assert.equal(references.map(([whole]) => whole.replace(/, $/, "")).join(", "), shown, `not understood: ${shown}`);
  }
});
