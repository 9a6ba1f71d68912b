import { SqliteStore } from "../../src/stores/sqlite.ts";
import { PATIENT, startSite } from "../support/express-site.ts";

/** One of several processes that log users in over one file, within a limit of three. Says its port to whoever started it, and ends with it. */
const [file = "", exceed = ""] = process.argv.slice(2);
const site = await startSite(
  { after: () => {} },
  {
    store: new SqliteStore(file, { busyTimeout: 60_000 }),
    storeTimeout: PATIENT,
    maxSessionsPerUser: { limit: 3, exceed: exceed === "refuse" ? "refuse" : "revoke-oldest" },
  },
  (app, sessions) => {
    app.post("/login", async (req, res) => {
      await req.session.login("ada");
      res.json({});
    });
    app.get("/", async (req, res) => {
      res.json({ userId: req.session.userId, count: await sessions.count("ada") });
    });
  },
);
process.on("disconnect", () => process.exit());
process.send?.(site.port);
