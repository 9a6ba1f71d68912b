import { Router } from "express";
import { field, forUsers, notFound, type Parts, show } from "./pages.ts";
import { hashPassword } from "./passwords.ts";
import type { Users } from "./users.ts";

export const SUPPORT_EMAIL = "support@example.com";
const MOST_MINUTES = 15;
const LONGEST_REASON = 200;

/** The first start makes the account of the support. Returns whether the account with this e-mail is that. */
export async function openSupport(users: Users, password: string): Promise<boolean> {
  const user = users.withEmail(SUPPORT_EMAIL);
  if (user) return user.isSupport; // a customer may have registered with it before there was a support
  const added = users.add(SUPPORT_EMAIL, await hashPassword(password));
  if (added) users.employ(added);
  return added !== undefined;
}

/** Support acts as a customer, for a reason, and everyone can see it. */
export function support({ sessions, users, audit }: Parts): Router {
  const router = Router();
  const possible = !sessions.capabilities.clientSide; // a session in a cookie can't wait on the server
  const data = () => ({ audit: audit.newest(), possible, minutes: MOST_MINUTES });

  router.get(
    "/support",
    forUsers((req, res, user) => {
      if (!user.isSupport) throw notFound();
      show(req, res, "support", data());
    }),
  );

  router.post(
    "/support/act",
    forUsers(async (req, res, user) => {
      // The library does not know who may act as whom: this is the shop's rule. While support acts as a customer,
      // `user` is that customer, who may not.
      if (!user.isSupport || !possible) throw notFound();
      const email = field(req, "email").trim().toLowerCase();
      const reason = field(req, "reason").trim();
      const customer = users.withEmail(email);
      const errors: { email?: string; reason?: string } = {};
      if (!customer || customer.isSupport) errors.email = "There is no customer with this e-mail.";
      if (!reason) errors.reason = "Say why. The customer sees it too.";
      if (reason.length > LONGEST_REASON) errors.reason = `Use at most ${LONGEST_REASON} characters.`;
      if (!customer || errors.email || errors.reason) {
        return show(req, res.status(422), "support", { ...data(), email, reason, errors });
      }
      await req.session.impersonate(customer.id, { reason, for: `${MOST_MINUTES}m` });
      res.redirect(303, "/account");
    }),
  );

  router.post("/support/stop", async (req, res) => {
    if (!req.session.actor) return res.redirect(303, "/"); // its time was over, or another tab was faster
    await req.session.stopImpersonating();
    req.session.flash("success", "You are back in your own account.");
    res.redirect(303, "/support");
  });

  return router;
}
