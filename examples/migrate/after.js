// The same site on Sojourn. `accept` takes over the sessions of before, one at a time, as their owners come back.
import express from "express";
import makeFileStore from "session-file-store";
import { session } from "sojourn";
import oldSession from "sojourn/express-session";
import { FileStore } from "sojourn/file";
import { expressSession } from "sojourn/legacy";
import { page } from "./page.js";

// Made with the drop-in's classes, so that express-session can be uninstalled.
const OldStore = makeFileStore(oldSession);

export function siteAfter({ oldFolder, newFolder, oldSecret }) {
  const sessions = session({
    store: new FileStore(newFolder),
    secret: process.env.SESSION_SECRET ?? "only for this example: 32 bytes or more",
    accept: [
      expressSession({
        store: new OldStore({ path: oldFolder, reapInterval: -1, retries: 0, logFn() {} }),
        secret: oldSecret,
        userId: (data) => data.user,
        // On a real site, `until: "2027-01-01"`: the day to remove this.
      }),
    ],
  });

  const app = express();
  app.use(express.urlencoded({ extended: false }));
  app.use(sessions);

  app.get("/", (req, res) => {
    req.session.views = (req.session.views ?? 0) + 1;
    res.send(page("Sojourn", req.session.userId, req.session.views));
  });
  app.post("/login", async (req, res) => {
    await req.session.login(String(req.body.name));
    res.redirect(303, "/");
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.redirect(303, "/");
  });
  return app;
}
