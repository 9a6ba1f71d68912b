import { Router } from "express";
import { requireFresh, returnTo } from "sojourn";
import { countView, field, forUsers, notFound, type Parts, show, TIME_TO_FILL_IN } from "./pages.ts";
import { hashPassword, SHORTEST_PASSWORD, verifyPassword } from "./passwords.ts";
import { MOST_DEVICES } from "./sessions.ts";

/** A user's account: the devices, and the password. */
export function account({ sessions, users, freshFor }: Parts): Router {
  const router = Router();

  router.get(
    "/account",
    forUsers(async (req, res, user) => {
      countView(req);
      const { clientSide } = sessions.capabilities; // then nobody has a list of them
      // Support that acts as the user is listed, too: the shop has nothing to hide.
      const which = { current: req.session, impersonations: true };
      const devices = clientSide ? [] : await sessions.list(user.id, which);
      show(req, res, "account", { devices, clientSide, most: MOST_DEVICES, freshFor });
    }),
  );

  // With `freshFor`, both of the following reject with NOT_FRESH where the password was entered too long ago, and with
  // IMPERSONATING where support acts as the user. `errors.ts` answers.

  router.post(
    "/devices/revoke-others",
    forUsers(async (req, res, user) => {
      const ended = await sessions.revokeAll(user.id, { except: req.session });
      req.session.flash(
        "success",
        ended === 1
          ? "One other device is signed out."
          : `${Number.isNaN(ended) ? "All" : ended} other devices are signed out.`,
      );
      res.redirect(303, "/account");
    }),
  );

  router.post(
    "/devices/:handle/revoke",
    forUsers(async (req, res) => {
      // Handles are no secret, so knowing one proves nothing: `by` lets only sessions of the user who asks end.
      const ended = await sessions.revoke(String(req.params.handle), { by: req.session });
      if (!ended) throw notFound();
      req.session.flash("success", "That device is signed out.");
      res.redirect(303, "/account");
    }),
  );

  router.get(
    "/confirm",
    forUsers((req, res) => show(req, res, "confirm", { freshFor })),
  );

  router.post(
    "/confirm",
    forUsers(async (req, res, user) => {
      if (!(await verifyPassword(field(req, "password"), user.passwordHash))) {
        const errors = { password: "This is not your password." };
        return show(req, res.status(401), "confirm", { freshFor, errors });
      }
      await req.session.confirm({ methods: ["pwd"] });
      req.session.flash("success", "Thank you. Now you can go on.");
      res.redirect(303, returnTo(req));
    }),
  );

  router.get(
    "/account/password",
    requireFresh({ within: freshFor, redirect: "/confirm" }),
    forUsers((req, res) => show(req, res, "password")),
  );

  router.post(
    "/account/password",
    requireFresh({ within: TIME_TO_FILL_IN }),
    forUsers(async (req, res, user) => {
      const password = field(req, "password");
      if (password.length < SHORTEST_PASSWORD) {
        const errors = { password: `Use at least ${SHORTEST_PASSWORD} characters.` };
        return show(req, res.status(422), "password", { errors });
      }
      users.setPassword(user, await hashPassword(password));
      // Whoever else knew the old password is out. A handle, not a session: this is the shop's own doing.
      await sessions.revokeAll(user.id, { except: req.session.id });
      req.session.flash("success", "Your password is changed. All other devices are signed out.");
      res.redirect(303, "/account");
    }),
  );

  return router;
}
