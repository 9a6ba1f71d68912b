import assert from "node:assert/strict";
import { test } from "node:test";
import { type Any, type Browser, type Cleanup, express, kinds, listen, load, natives } from "./world.ts";

/** https://www.passportjs.org/concepts/authentication/sessions: a log-in form, with sessions. */
async function serve(t: Cleanup, sessions: Any, configure: (passport: Any) => void = () => {}): Promise<Browser> {
  const { Passport } = load("passport");
  const { Strategy } = load("passport-local");
  const passport = new Passport();
  passport.use(
    new Strategy((name: string, password: string, done: (error: unknown, user: unknown) => void) =>
      done(null, password === "open sesame" ? { name } : false),
    ),
  );
  passport.serializeUser((user: Any, done: (error: unknown, id: string) => void) => done(null, user.name));
  passport.deserializeUser((name: string, done: (error: unknown, user: object) => void) => done(null, { name }));
  configure(passport);
  const app = express(sessions, (app) => {
    app.use(load("express").urlencoded({ extended: false }));
    app.use(passport.initialize());
    app.use(passport.session());
    app.get("/cart", (req: Any, res: Any) => {
      req.session.cart = "lamp";
      res.send("in the cart");
    });
    app.post(
      "/login",
      passport.authenticate("local", { successRedirect: "/", failureRedirect: "/login", keepSessionInfo: true }),
    );
    app.get("/login", (req: Any, res: Any) => res.send(`who are you? ${(req.session.messages ?? []).join()}`));
    app.post("/logout", (req: Any, res: Any, next: Any) =>
      req.logout((error: unknown) => (error ? next(error) : res.redirect("/"))),
    );
    app.get("/", (req: Any, res: Any) =>
      res.json({ user: req.user?.name, cart: req.session.cart, isAuthenticated: req.isAuthenticated() }),
    );
    app.get("/devices", async (req: Any, res: Any) => {
      const devices = await sessions.list(req.session.userId);
      res.json({ userId: req.session.userId, devices: devices.length });
    });
  });
  return listen(t, app);
}

function logIn(browser: Browser, password: string): Promise<{ status: number; headers: Any }> {
  return browser.ask("/login", {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ username: "ada", password }).toString(),
  });
}

const home = async (browser: Browser) => JSON.parse((await browser.get("/")).text);

for (const [kind, open] of Object.entries(kinds)) {
  test(`Passport: log in, keep the cart, log out (${kind})`, async (t) => {
    const browser = await serve(t, open(t));
    await browser.get("/cart");
    const before = browser.cookie;
    assert.equal((await logIn(browser, "wrong")).headers.location, "/login");
    assert.deepEqual(await home(browser), { cart: "lamp", isAuthenticated: false });
    assert.equal((await logIn(browser, "open sesame")).headers.location, "/");
    assert.notEqual(browser.cookie, before);
    assert.deepEqual(await home(browser), { user: "ada", cart: "lamp", isAuthenticated: true });

    const stolen = browser.stranger();
    for (const pair of before.split("; ")) stolen.cookies.set(pair.split("=")[0] ?? "", pair.split("=")[1] ?? "");
    assert.deepEqual(await home(stolen), { isAuthenticated: false });

    await browser.ask("/logout", { method: "POST" });
    assert.deepEqual(await home(browser), { isAuthenticated: false });
  });
}

for (const [kind, open] of Object.entries(natives)) {
  // As docs/guides/passport.md says it: Passport's own log-in tells Sojourn who it is.
  test(`Passport whose serializeUser logs in: the user has a device list (${kind})`, async (t) => {
    const browser = await serve(t, open(t), (passport) => {
      passport._serializers.length = 0;
      passport.serializeUser((req: Any, user: Any, done: (error: unknown, id?: string) => void) => {
        req.session.login(user.name, (error: unknown) => (error ? done(error) : done(null, user.name)));
      });
    });
    await browser.get("/cart");
    assert.equal((await logIn(browser, "open sesame")).headers.location, "/");
    assert.deepEqual(await home(browser), { user: "ada", cart: "lamp", isAuthenticated: true });
    assert.deepEqual(JSON.parse((await browser.get("/devices")).text), { userId: "ada", devices: 1 });
    await browser.ask("/logout", { method: "POST" });
    assert.deepEqual(await home(browser), { isAuthenticated: false });
  });
}
