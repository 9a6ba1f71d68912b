import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { largeRecordOf, nextVersion, recordOf } from "./sqlite-history.ts";
import { start } from "./sqlite-processes.ts";

const handles = Array.from({ length: 12 }, (_, n) => `handle${n}`);

describe("kill -9 of a process that writes", { concurrency: true }, () => {
  // Two databases, so that both cores are busy.
  for (const database of ["one database", "another database"]) {
    test(`100 times (${database}): all that was acknowledged is there, and nothing is torn`, async (t) => {
      const { folder, remove } = temporaryFolder();
      t.after(remove);
      const path = join(folder, "sessions.db");
      const known = new Map(handles.map((handle) => [handle, 0]));
      let acknowledged = 0;
      for (let kill = 0; kill < 100; kill++) {
        const writer = start("writeUntilKilled", path);
        const note = (line: string) => {
          const [handle = "", version] = line.split(" ");
          known.set(handle, Number(version));
          acknowledged++;
        };
        note(await writer.heard());
        // Anywhere from the first commits to some checkpoints later.
        setTimeout(() => writer.process.kill("SIGKILL"), Math.random() * 30);
        for (let line = await writer.lines.next(); line.done !== true; line = await writer.lines.next())
          note(line.value);
        equal(await writer.ended, null, "the writer was killed, and did not fail");

        const store = new SqliteStore(path);
        for (const [handle, last] of known) {
          const record = store.load(handle);
          const version = record?.version ?? 0;
          // The last write may have been committed without anyone hearing of it.
          ok(version === last || version === nextVersion(last), `${handle}: ${version} after ${last} was acknowledged`);
          if (record !== undefined) deepEqual(record, recordOf(handle, version));
          const { sessions } = await store.list({ userId: `user of ${handle}` });
          equal(sessions.length, version === 0 ? 0 : 1, "the index agrees");
          known.set(handle, version);
        }
        await store.close();
      }
      const raw = new DatabaseSync(path);
      deepEqual({ ...raw.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
      raw.close();
      t.diagnostic(`${acknowledged} acknowledged writes`);
    });
  }
});

test("kill -9 while a commit checkpoints: all that was acknowledged is there, and nothing is torn", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  const path = join(folder, "sessions.db");
  for (let kill = 0; kill < 8; kill++) {
    const writer = start("writeLargeUntilKilled", path);
    let acknowledged = 0;
    let checkpoints = 0;
    for (let line = await writer.lines.next(); line.done !== true; line = await writer.lines.next()) {
      if (line.value !== "checkpoint") acknowledged = Number(line.value);
      // Anywhere in the first ones.
      else if (++checkpoints === 1) setTimeout(() => writer.process.kill("SIGKILL"), Math.random() * 60);
    }
    equal(await writer.ended, null, "the writer was killed, and did not fail");
    ok(checkpoints > 0);
    const store = new SqliteStore(path);
    const record = store.load("large");
    const version = record?.version ?? 0;
    ok(version === acknowledged || version === acknowledged + 1, `${version} after ${acknowledged} was acknowledged`);
    deepEqual(record, largeRecordOf(version));
    await store.close();
  }
  const raw = new DatabaseSync(path);
  deepEqual({ ...raw.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
  raw.close();
});
