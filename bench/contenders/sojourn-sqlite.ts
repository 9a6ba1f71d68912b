import { join } from "node:path";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import type { Contender } from "../lib/contender.ts";
import { sojournSite } from "../lib/sojourn-site.ts";
import { temporaryFolder } from "../lib/temporary-folder.ts";

export const contender: Contender = {
  name: "sojourn, SQLite",
  kind: "ours",
  over: "bare-express",
  note: "survives kill -9",
  open(data) {
    const folder = temporaryFolder();
    return sojournSite(data, { store: new SqliteStore(join(folder.path, "sessions.db")) }, folder.remove);
  },
};
