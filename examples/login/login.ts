import { type Request, type Response, Router } from "express";
import { SojournError } from "sojourn";
import { PLAIN_COOKIE } from "./compare.ts";
import { field, forStrangers, type Parts, show } from "./pages.ts";
import { hashPassword, SHORTEST_PASSWORD, verifyPassword } from "./passwords.ts";
import { MOST_DEVICES } from "./sessions.ts";

/** How long a login waits for its user to choose a device to end. */
const PENDING_MS = 5 * 60_000;

/** Registering, signing in and signing out. */
export function login({ sessions, users }: Parts): Router {
  const router = Router();

  router.get("/register", forStrangers("register"));

  router.post("/register", async (req, res) => {
    const { email, password, errors } = readCredentials(req);
    if (email && !/^[^\s@]+@[^\s@]+$/.test(email)) errors.email = "Enter an e-mail address, like name@example.com.";
    if (password && password.length < SHORTEST_PASSWORD)
      errors.password = `Use at least ${SHORTEST_PASSWORD} characters.`;
    if (errors.email || errors.password) return show(req, res.status(422), "register", { email, errors });

    const user = users.add(email, await hashPassword(password));
    if (!user) {
      errors.email = "An account could not be created with this e-mail. If it is yours, sign in instead.";
      return show(req, res.status(409), "register", { email, errors });
    }
    await req.session.login(user.id, { methods: ["pwd"] });
    req.session.flash("success", "Your account is ready, and your cart came along.");
    res.redirect(303, "/account");
  });

  router.get("/login", forStrangers("login"));

  router.post("/login", async (req, res) => {
    const { email, password, errors } = readCredentials(req);
    const remember = field(req, "remember") !== "";
    if (errors.email || errors.password) return show(req, res.status(422), "login", { email, remember, errors });

    const user = users.withEmail(email);
    const right = await verifyPassword(password, user?.passwordHash); // works as long for an unknown user
    if (!user || !right) {
      errors.form = "This e-mail and this password don’t belong together. Check both and try again.";
      return show(req, res.status(401), "login", { email, remember, errors });
    }
    await signIn(req, res, user.id, remember);
  });

  router.post("/login/make-room", async (req, res) => {
    const { pending } = req.session;
    if (!pending || pending.until < Date.now()) {
      req.session.flash("error", "That took too long. Please sign in again.");
      return res.redirect(303, "/login");
    }
    // `userId` lets only a device of theirs end. Without `by`, since nobody is signed in yet.
    await sessions.revoke(field(req, "handle"), { userId: pending.userId });
    await signIn(req, res, pending.userId, pending.remember);
  });

  router.post("/logout", async (req, res) => {
    await req.session.logout();
    req.session.flash("success", "You are signed out."); // in the new, empty session
    res.clearCookie(PLAIN_COOKIE);
    res.redirect(303, "/");
  });

  return router;
}

/** Signs in someone whose password was right, or lets them choose a device to end if they have too many. */
async function signIn(req: Request, res: Response, userId: string, remember: boolean): Promise<void> {
  try {
    // A new token, so that one planted before the login opens nothing; the cart and the counter come along.
    await req.session.login(userId, { remember: remember ? "30d" : false, methods: ["pwd"] });
  } catch (error) {
    if (!(error instanceof SojournError) || error.code !== "TOO_MANY_SESSIONS") throw error;
    // Half a login is worth stealing too: a planted token must not see it through.
    await req.session.regenerate({ keep: true });
    req.session.pending = { userId, remember, until: Date.now() + PENDING_MS };
    return show(req, res.status(409), "full", { devices: error.devices, most: MOST_DEVICES });
  }
  delete req.session.pending;
  req.session.flash("success", "You are signed in.");
  res.redirect(303, "/account");
}

function readCredentials(req: Request) {
  const email = field(req, "email").trim().toLowerCase();
  const password = field(req, "password");
  const errors: { form?: string; email?: string; password?: string } = {};
  if (!email) errors.email = "Enter your e-mail address.";
  if (!password) errors.password = "Enter your password.";
  return { email, password, errors };
}
