// Passport checks the password, Sojourn keeps the login.
import express from "express";
import passport from "passport";
import { Strategy } from "passport-local";
import { session } from "sojourn";

const users = [{ id: 1, name: "ada", password: "open sesame" }]; // Yours are in a database, with hashed passwords.

passport.use(
  new Strategy((name, password, done) => {
    done(null, users.find((user) => user.name === name && user.password === password) ?? false);
  }),
);
// With three parameters, Passport passes the request: Sojourn learns whose session it is, and can list it.
passport.serializeUser((req, user, done) => {
  req.session.login(String(user.id), (error) => done(error, user.id));
});
passport.deserializeUser((id, done) => {
  done(null, users.find((user) => user.id === id) ?? false);
});

const app = express();
const sessions = session({ secret: process.env.SESSION_SECRET ?? "only for this example: 32 bytes or more" });
app.use(express.urlencoded({ extended: false }));
app.use(sessions);
app.use(passport.session());

// What Passport and a visitor had to say to each other: shown once.
app.use((req, _res, next) => {
  req.flash = (type, message) => req.session.flash(type, message);
  next();
});

app.get("/", async (req, res) => {
  const messages = req.session.flash("error");
  if (!req.user) return res.send(`${messages.join(" ")} ${LOGIN}`);
  const devices = await sessions.list(req.session.userId, { current: req.session });
  res.send(`Hello ${req.user.name}, logged in on ${devices.length} device(s). ${LOGOUT}`);
});
app.post(
  "/login",
  passport.authenticate("local", {
    successRedirect: "/",
    failureRedirect: "/",
    failureFlash: "Wrong name or password.",
  }),
);
app.post("/logout", (req, res, next) => {
  req.logout((error) => (error ? next(error) : res.redirect(303, "/")));
});

const LOGIN = `<form action="/login" method="post">
  <input name="username" value="ada"> <input name="password" value="open sesame" type="password"> <button>Log in</button>
</form>`;
const LOGOUT = '<form action="/logout" method="post"><button>Log out</button></form>';

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", (error) => {
  if (error) throw error; // the port is taken: PORT=3001
  console.log(`Log in at http://localhost:${server.address().port}`);
});
