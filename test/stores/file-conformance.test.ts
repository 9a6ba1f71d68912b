import { deepEqual } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { nameOfHandle } from "../../src/stores/file/names.ts";
import { FileStore } from "../../src/stores/file.ts";
import { pages } from "../../src/testing/conformance/check.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

let remove = () => {};

storeConformance({
  name: "FileStore",
  async open(clock) {
    const temporary = temporaryFolder();
    remove = temporary.remove;
    const folder = join(temporary.folder, "sessions");
    return [new FileStore(folder, { clock }), new FileStore(folder, { clock })];
  },
  remove: () => remove(),
});

test("a page of everyone's may end within a folder: the next one begins there", async (t) => {
  const { folder, remove } = temporaryFolder();
  t.after(remove);
  const store = new FileStore(folder);
  const shardOf = (n: number) => nameOfHandle(`handle${n}`).slice(0, 3);
  const together: string[] = [];
  for (let n = 0; together.length < 3; n++) if (shardOf(n) === shardOf(0)) together.push(`handle${n}`);
  const times = { createdAt: Date.now(), touchedAt: Date.now(), expiresAt: Date.now() + 60_000 };
  for (const handle of together) {
    await store.create(handle, { payload: "", version: 1, secretHash: handle, userId: null, ...times });
  }
  const listed = (await pages(store, { limit: 1 })).flat().map(({ handle }) => handle);
  deepEqual(listed.toSorted(), together.toSorted());
  await store.close();
});
