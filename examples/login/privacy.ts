import { Router } from "express";
import { requireFresh } from "sojourn";
import { PLAIN_COOKIE } from "./compare.ts";
import { forUsers, type Parts, show, TIME_TO_FILL_IN } from "./pages.ts";

/** What sessions hold about a user: to see, to download and to erase. */
export function privacy({ sessions, freshFor }: Parts): Router {
  const router = Router();
  const path = "/account/data";

  // In an export is all that a thief would like to know. Support does not get it either: IMPERSONATING.
  router.get(path, requireFresh({ within: freshFor, redirect: "/confirm" }));
  router.use(path, requireFresh({ within: TIME_TO_FILL_IN, redirect: "/confirm" }));

  router.get(
    path,
    forUsers(async (req, res, user) => {
      show(req, res, "data", { json: toJson(await sessions.export(user.id)) });
    }),
  );

  router.get(
    `${path}/sessions.json`,
    forUsers(async (_req, res, user) => {
      res
        .set("Cache-Control", "no-store")
        .attachment("sessions.json")
        .send(toJson(await sessions.export(user.id)));
    }),
  );

  router.post(
    `${path}/erase`,
    forUsers(async (req, res, user) => {
      // This device first, by a logout: it gives the browser a new, empty session, which keeps the message.
      await req.session.logout();
      await sessions.erase(user.id);
      res.clearCookie(PLAIN_COOKIE);
      req.session.flash("success", "Your sessions are erased, on all devices. Your account is still there.");
      res.redirect(303, "/");
    }),
  );

  return router;
}

function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
