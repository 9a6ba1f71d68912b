// What TypeScript users of cookie-session write, under its own name.
import cookieSession from "cookie-session";
import express from "express";

const options: CookieSessionInterfaces.CookieSessionOptions = { name: "session", keys: ["a", "b"], sameSite: "lax" };
const app = express();
app.use(cookieSession(options));
app.get("/", (req, res) => {
  const session: CookieSessionInterfaces.CookieSessionObject | null | undefined = req.session;
  req.sessionOptions.maxAge = 1;
  if (req.session) req.session["views"] = session?.isNew ? 1 : req.session["views"] + 1;
  req.session = null;
  res.end();
});
