import { FileStore } from "../../src/stores/file.ts";
import type { Contender } from "../lib/contender.ts";
import { sojournSite } from "../lib/sojourn-site.ts";
import { temporaryFolder } from "../lib/temporary-folder.ts";

export const contender: Contender = {
  name: "sojourn, files",
  kind: "ours",
  over: "bare-express",
  note: "survives kill -9",
  open(data) {
    const folder = temporaryFolder();
    return sojournSite(data, { store: new FileStore(folder.path) }, folder.remove);
  },
};
