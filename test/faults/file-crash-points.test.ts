import { deepEqual, equal, ok } from "node:assert/strict";
import { cpSync, globSync, mkdirSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nameOfHandle } from "../../src/stores/file/names.ts";
import { FileStore } from "../../src/stores/file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { clock, HOUR_MS, inspect, now, old, recordOf, scenes } from "./file-scenes.ts";
import { liveFor } from "./mortal-disk.ts";

for (const scene of scenes) {
  test(`killed at any step of ${scene.what}: the old or the new, and nothing stays behind`, async (t) => {
    const { folder, remove } = temporaryFolder();
    t.after(remove);
    let steps: string[] = [];
    for (let most = 0, isDone = false; !isDone; most++) {
      const root = join(folder, String(most));
      clock.set(now);
      const store = new FileStore(root, { clock });
      await scene.before?.(store);
      ({ steps, isDone } = await liveFor(most, () => scene.work(store)));
      const next = new FileStore(root, { clock });
      await inspect(next, scene, isDone, `killed after ${steps.join(", ")}`);
      mkdirSync(root, { recursive: true });
      cpSync(root, `${root}-again`, { recursive: true });
      await isNoObstacle(`${root}-again`);
      await isSwept(next, root);
      await next.close();
      rmSync(root, { recursive: true });
    }
    ok(steps.length > 0);
    t.diagnostic(`${steps.length} steps: ${steps.join(", ")}`);
  });
}

/** Whatever was left half done is in nobody's way. */
async function isNoObstacle(root: string): Promise<void> {
  const next = new FileStore(root, { clock });
  const found = await next.load("handle");
  if (found === undefined) equal(await next.create("handle", recordOf({ expiresAt: clock.now() + HOUR_MS })), true);
  const { version } = (await next.load("handle")) ?? old;
  const written = recordOf({ version: version + 1, payload: "next", expiresAt: clock.now() + HOUR_MS });
  equal(await next.update("handle", written, version), "ok");
  deepEqual(await next.load("handle"), written);
  const [own = ""] = globSync(join(root, "sessions/*", nameOfHandle("handle")));
  equal(readdirSync(own).length, 2, "a state and its payload");
  equal(await next.delete("handle"), true);
  equal(await next.load("handle"), undefined);
  await next.close();
  rmSync(root, { recursive: true });
}

/** And goes with the session, or with the next sweeps. */
async function isSwept(next: FileStore, root: string): Promise<void> {
  await next.delete("handle");
  // Nobody is writing any more, as far as files an hour old tell.
  for (const path of globSync(join(root, "tmp/*"))) utimesSync(path, 0, 0);
  clock.advance(24 * HOUR_MS);
  await next.prune();
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  deepEqual(
    files.map(({ parentPath, name }) => join(parentPath, name)),
    [],
    "files that nothing needs",
  );
  deepEqual(globSync(join(root, "sessions/*/*")), []);
  deepEqual(globSync(join(root, "tmp/*")), []);
}
