import { join } from "node:path";
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from "express";
import type { SessionStore, Sessions } from "sojourn";
import { catalogue, readCart } from "./catalogue.ts";
import { believeCookie, PLAIN_COOKIE, readCookies } from "./compare.ts";
import * as format from "./format.ts";
import { hashPassword, SHORTEST_PASSWORD, verifyPassword } from "./passwords.ts";
import { refuseCrossSitePosts, securityHeaders } from "./security.ts";
import type { User, Users } from "./users.ts";

// What this site keeps in a session; `req.session` is typed by it everywhere.
declare module "sojourn" {
  interface SessionData {
    cart: string[];
    views: number;
  }
}

/** More would not fit the plain cookie that /compare sets beside the session: browsers keep 4 KB of it. */
const FULL_CART = 40;

/** What the site works with: `server.ts` opens the real ones. */
interface Parts {
  sessions: Sessions;
  /** Whose records /compare shows; none where sessions live in their cookies. */
  store?: SessionStore | undefined;
  users: Users;
}

export function createApp({ sessions, store, users }: Parts): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("view engine", "ejs");
  app.set("views", join(import.meta.dirname, "views"));
  Object.assign(app.locals, format);

  app.use(securityHeaders);
  app.use(express.static(join(import.meta.dirname, "public"))); // a stylesheet needs no session
  app.use(refuseCrossSitePosts);
  app.use(express.urlencoded({ extended: false, limit: "10kb" }));
  app.use(sessions);

  // ---- the shop: a session before anyone has an account ----

  app.get("/", (req, res) => {
    countView(req);
    show(req, res, "shop", { catalogue, cart: readCart(req.session.cart ?? []) });
  });

  app.post("/cart", async (req, res) => {
    const product = catalogue.get(field(req, "item"));
    if (!product) throw Object.assign(new Error("No such product"), { status: 422 });
    const removing = field(req, "action") === "remove";
    let fits = true;
    // Two quick clicks are two requests at once. Where the other one came first, `update` runs this again on the
    // newest cart, so that no click is lost.
    await req.session.update((data) => {
      const cart = data.cart ?? [];
      fits = removing || cart.length < FULL_CART;
      if (removing) data.cart = withoutOne(cart, product.id);
      else if (fits) data.cart = [...cart, product.id];
    });
    setPlainCookie(res, req.session.cart);
    if (removing) req.session.flash("success", `${product.name}: one taken out of your cart.`);
    else if (fits) req.session.flash("success", `${product.name} is in your cart.`);
    else req.session.flash("error", "Your cart is full. Take something out first.");
    res.redirect(303, "/");
  });

  // ---- accounts ----

  app.get("/register", forStrangers("register"));

  app.post("/register", async (req, res) => {
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
    await req.session.login(user.id);
    req.session.flash("success", "Your account is ready, and your cart came along.");
    res.redirect(303, "/account");
  });

  app.get("/login", forStrangers("login"));

  app.post("/login", async (req, res) => {
    const { email, password, errors } = readCredentials(req);
    const remember = field(req, "remember") !== "";
    if (errors.email || errors.password) return show(req, res.status(422), "login", { email, remember, errors });

    const user = users.withEmail(email);
    const right = await verifyPassword(password, user?.passwordHash); // works as long for an unknown user
    if (!user || !right) {
      errors.form = "This e-mail and this password don’t belong together. Check both and try again.";
      return show(req, res.status(401), "login", { email, remember, errors });
    }
    // A new token, so that one planted before the login opens nothing; the cart and the counter come along.
    await req.session.login(user.id, { remember: remember ? "30d" : false });
    req.session.flash("success", "You are signed in.");
    res.redirect(303, "/account");
  });

  app.post("/logout", async (req, res) => {
    await req.session.logout();
    req.session.flash("success", "You are signed out."); // in the new, empty session
    res.clearCookie(PLAIN_COOKIE);
    res.redirect(303, "/");
  });

  // ---- a user's devices ----

  app.get(
    "/account",
    forUsers(async (req, res, user) => {
      countView(req);
      const { clientSide } = sessions.capabilities; // then nobody has a list of them
      const devices = clientSide ? [] : await sessions.list(user.id, { current: req.session });
      show(req, res, "account", { devices, clientSide });
    }),
  );

  app.post(
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

  app.post(
    "/devices/:handle/revoke",
    forUsers(async (req, res, user) => {
      // Handles are no secret, so knowing one proves nothing: `userId` lets only this user's own sessions end.
      const ended = await sessions.revoke(String(req.params.handle), { userId: user.id });
      if (!ended) throw notFound();
      req.session.flash("success", "That device is signed out.");
      res.redirect(303, "/account");
    }),
  );

  // ---- what a session is, beside a plain cookie ----

  app.get("/compare", async (req, res) => {
    countView(req);
    const cookies = readCookies(req.headers.cookie);
    if (!cookies.plain) setPlainCookie(res, req.session.cart); // one that the visitor edited stays as it is
    await req.session.save(); // now, so that the record shown is that of this very request
    const record = await store?.load(req.session.id);
    const { clientSide } = sessions.capabilities;
    show(req, res, "compare", { cookies, believed: believeCookie(cookies.plain), record, clientSide });
  });

  // ---- when there is nothing to show ----

  app.use(() => {
    throw notFound();
  });

  // Touches no session, which may be what failed. Tells the visitor what to do, and nothing about the inside.
  const showError: ErrorRequestHandler = (error, _req, res, next) => {
    if (res.headersSent) return next(error);
    const status = error?.status >= 400 && error?.status < 500 ? error.status : error?.status === 503 ? 503 : 500;
    if (status >= 500) console.error(error);
    if (status === 503) res.set("Retry-After", "1");
    res.status(status).set("Cache-Control", "no-store").render("error", { status });
  };
  app.use(showError);
  return app;

  /** Renders a page with what all pages show: who is signed in, how full the cart is, and messages left for it. */
  function show(req: Request, res: Response, view: string, data: object = {}): void {
    const messages = { success: req.session.flash("success"), error: req.session.flash("error") };
    res.set("Cache-Control", "no-store"); // or "back" would bring the page up again after signing out
    res.render(view, { path: req.path, user: findUser(req), session: req.session, messages, ...data });
  }

  function findUser(req: Request): User | undefined {
    return req.session.userId ? users.withId(req.session.userId) : undefined;
  }

  /** A handler that runs for people who are signed in, and asks all others to do so. */
  function forUsers(handler: (req: Request, res: Response, user: User) => Promise<void>): RequestHandler {
    return async (req, res) => {
      const user = findUser(req);
      if (user) return await handler(req, res, user);
      req.session.flash("error", "Sign in to see your account.");
      res.redirect(303, "/login");
    };
  }

  /** A form that someone who is signed in has no use for. */
  function forStrangers(view: string): RequestHandler {
    return (req, res) => (findUser(req) ? res.redirect(303, "/account") : show(req, res, view));
  }
}

function countView(req: Request): void {
  req.session.views = (req.session.views ?? 0) + 1;
}

/** A form's field as text. Absent, repeated and unparsed ones are all the empty string. */
function field(req: Request, name: string): string {
  const value: unknown = req.body?.[name];
  return typeof value === "string" ? value : "";
}

function readCredentials(req: Request) {
  const email = field(req, "email").trim().toLowerCase();
  const password = field(req, "password");
  const errors: { form?: string; email?: string; password?: string } = {};
  if (!email) errors.email = "Enter your e-mail address.";
  if (!password) errors.password = "Enter your password.";
  return { email, password, errors };
}

function withoutOne(cart: string[], id: string): string[] {
  const at = cart.lastIndexOf(id);
  return cart.filter((_, index) => index !== at);
}

/** For /compare: the same cart, kept the careless way. */
function setPlainCookie(res: Response, cart: string[] | undefined): void {
  if (cart) res.cookie(PLAIN_COOKIE, JSON.stringify(cart), { sameSite: "lax" });
}

function notFound(): Error {
  return Object.assign(new Error("Not found"), { status: 404 });
}
