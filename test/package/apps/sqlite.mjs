import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { session } from "sojourn";
import { SqliteStore } from "sojourn/sqlite";
import { visit } from "./visit.cjs";

const folder = mkdtempSync(join(tmpdir(), "sojourn-sqlite-"));
try {
  const file = join(folder, "sessions.db");
  if (process.getBuiltinModule("node:sqlite")) await visit({ session }, new SqliteStore(file));
  else
    assert.throws(
      () => new SqliteStore(file),
      (error) => {
        // The way out has to be in the message: a newer Node, or a database that the application brings.
        assert.match(error.message, /node:sqlite/);
        assert.match(error.message, /22\.13/);
        assert.match(error.message, /better-sqlite3/);
        return true;
      },
    );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
