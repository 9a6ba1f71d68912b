import { ok } from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FileStore } from "../../src/stores/file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { clock, inspect, now, scenes } from "./file-scenes.ts";
import { powerCuts, restore } from "./forgetful-disk.ts";

for (const scene of scenes) {
  test(`a power cut at any step of ${scene.what}: the old or the new, and all that was acknowledged`, async (t) => {
    const { folder, remove } = temporaryFolder();
    t.after(remove);
    clock.set(now);
    const store = new FileStore(join(folder, "sessions"), { clock });
    await scene.before?.(store);
    const cuts = await powerCuts(folder, () => scene.work(store));
    ok(cuts.length > 1);
    for (const { steps, isDone, left } of cuts) {
      for (const [disk, tree] of Object.entries(left)) {
        const found = join(folder, "after the cut");
        restore(tree, found);
        const next = new FileStore(join(found, "sessions"), { clock });
        const isKept = isDone && scene.mayBeUndone !== true;
        await inspect(next, scene, isKept, `${disk}, after ${steps.join(", ")}${isDone ? ", acknowledged" : ""}`);
        await next.close();
        rmSync(found, { recursive: true });
      }
    }
    t.diagnostic(`${cuts.length} cuts: ${cuts.at(-1)?.steps.join(", ")}`);
  });
}
