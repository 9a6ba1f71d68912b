import { join } from "node:path";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import type { Contender } from "../lib/contender.ts";
import { sojournSite } from "../lib/sojourn-site.ts";
import { temporaryFolder } from "../lib/temporary-folder.ts";

export const contender: Contender = {
  name: "sojourn, SQLite, encrypted at rest",
  kind: "ours",
  over: "bare-express",
  note: "survives kill -9",
  open(data) {
    const folder = temporaryFolder();
    const store = new SqliteStore(join(folder.path, "sessions.db"));
    return sojournSite(data, { store, encrypt: true }, folder.remove);
  },
};
