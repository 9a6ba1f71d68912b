import { join } from "node:path";
import { FileStore } from "../../src/stores/file.ts";
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
