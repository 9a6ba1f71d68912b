// The site as it was, on express-session with session-file-store.
import express from "express";
import session from "express-session";
import makeFileStore from "session-file-store";
import { page } from "./page.js";

const FileStore = makeFileStore(session);

export function siteBefore({ oldFolder, oldSecret }) {
  const app = express();
  app.use(express.urlencoded({ extended: false }));
  app.use(
    session({
      store: new FileStore({ path: oldFolder, reapInterval: -1, retries: 0, logFn() {} }),
      secret: oldSecret,
      resave: false,
      saveUninitialized: false,
    }),
  );

  app.get("/", (req, res) => {
    req.session.views = (req.session.views ?? 0) + 1;
    res.send(page("express-session", req.session.user, req.session.views));
  });
  app.post("/login", (req, res, next) => {
    const { views } = req.session;
    req.session.regenerate((error) => {
      if (error) return next(error);
      req.session.user = req.body.name;
      req.session.views = views;
      req.session.save((error) => (error ? next(error) : res.redirect(303, "/")));
    });
  });
  app.post("/logout", (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.redirect(303, "/")));
  });
  return app;
}
