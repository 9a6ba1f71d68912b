import { SqliteStore } from "../../src/stores/sqlite.ts";
import { PATIENT, startSite } from "../support/express-site.ts";
import { workload } from "./workload.ts";

/** One of several processes that serve one file. Says its port to whoever started it, and ends with it. */
const [file = ""] = process.argv.slice(2);
const site = await startSite(
  { after: () => {} },
  { store: new SqliteStore(file, { busyTimeout: 60_000 }), storeTimeout: PATIENT },
  workload,
);
process.on("disconnect", () => process.exit());
process.send?.(site.port);
