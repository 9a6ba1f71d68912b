import { deepEqual, equal, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LINEAGES, numberOf, recordAt, stores } from "./replace-child.ts";

/** Four visitors log in and out without end, each under a new handle every time; the process is killed anywhere in between. */
for (const name of ["file", "sqlite"] as const) {
  test(`kill -9 during replacements, five times: the old session or the new one is there (${name})`, async (t) => {
    const { folder, remove } = temporaryFolder();
    t.after(remove);
    const told = new Map(LINEAGES.map((lineage) => [lineage, 0]));
    for (let kill = 0; kill < 5; kill++) {
      const child = spawn(
        process.execPath,
        ["--no-warnings", join(import.meta.dirname, "replace-child.ts"), name, folder],
        {
          stdio: ["ignore", "pipe", "inherit"],
          env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "sojourn-test-compile-cache") },
        },
      );
      const ended = once(child, "close");
      let lines = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        // Anywhere between two steps; a new start is what takes the time.
        if (lines++ === 0) setTimeout(() => child.kill("SIGKILL"), Math.random() * 25);
        const [lineage = "", n] = line.split(" ");
        told.set(lineage, Number(n));
      }
      equal((await ended)[0], null, "it was killed, and did not fail");

      const store = stores[name](folder);
      const { sessions } = await store.list({});
      equal(sessions.length, LINEAGES.length, "one of each");
      for (const [lineage, last] of told) {
        const found = sessions.find(({ handle }) => handle.startsWith(lineage));
        ok(found);
        const { handle, ...record } = found;
        const n = numberOf(handle);
        // The last one may have taken effect without anyone hearing of it.
        ok(n === last || n === last + 1, `${n} after ${last} was acknowledged`);
        deepEqual(record, recordAt(lineage, n));
        const users = [lineage, `${lineage} logged in`];
        const counts = await Promise.all(users.map((userId) => store.count({ userId })));
        deepEqual(counts, n % 2 === 0 ? [1, 0] : [0, 1], "the index agrees");
        told.set(lineage, n);
      }
      await store.close();
    }
    const store = stores[name](folder);
    equal(await store.deleteAll({}), LINEAGES.length);
    deepEqual(globSync(join(folder, "sessions/*/*/*.*")), [], "no state is left");
    await store.close();
  });
}
