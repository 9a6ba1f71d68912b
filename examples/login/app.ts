import { join } from "node:path";
import express, { type Express } from "express";
import { csrf } from "sojourn/csrf";
import { account } from "./account.ts";
import { showError } from "./errors.ts";
import * as format from "./format.ts";
import { login } from "./login.ts";
import { knowUser, notFound, type Parts } from "./pages.ts";
import { privacy } from "./privacy.ts";
import { securityHeaders } from "./security.ts";
import { shop } from "./shop.ts";
import { support } from "./support.ts";

export function createApp(parts: Parts): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("view engine", "ejs");
  app.set("views", join(import.meta.dirname, "views"));
  Object.assign(app.locals, format);

  app.use(securityHeaders);
  app.use(express.static(join(import.meta.dirname, "public"))); // a stylesheet needs no session
  app.use(parts.sessions);
  app.use(csrf()); // refuses forms of other sites, before anything reads them
  app.use(express.urlencoded({ extended: false, limit: "10kb" }));
  app.use(knowUser(parts));

  app.use(shop(parts));
  app.use(login(parts));
  app.use(account(parts));
  if (!parts.sessions.capabilities.clientSide) app.use(privacy(parts)); // sessions in cookies can't be read from here
  app.use(support(parts));

  app.use(() => {
    throw notFound();
  });
  app.use(showError);
  return app;
}
