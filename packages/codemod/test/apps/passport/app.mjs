import express from "express";
import session from "express-session";
import memoryStore from "memorystore";
import passport from "passport";
import LocalStrategy from "passport-local";

const MemoryStore = memoryStore(session);
const users = new Map([["bob", { id: "u1", username: "bob", password: "builder" }]]);

passport.use(
  new LocalStrategy((username, password, cb) => {
    const user = users.get(username);
    if (!user || user.password !== password) return cb(null, false, { message: "Incorrect username or password." });
    return cb(null, user);
  }),
);

passport.serializeUser((user, cb) => {
  process.nextTick(() => cb(null, { id: user.id, username: user.username }));
});
passport.deserializeUser((user, cb) => {
  process.nextTick(() => cb(null, user));
});

const sessionOptions = {
  secret: "a secret of thirty-two characters",
  resave: false,
  saveUninitialized: false,
  store: new MemoryStore({ checkPeriod: 86400000, max: 100 }),
};

export const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(session(sessionOptions));
app.use(passport.authenticate("session"));

app.get("/", (req, res) => {
  if (!req.user) return res.send("nobody");
  res.send(req.user.username);
});
app.post(
  "/login/password",
  passport.authenticate("local", { successReturnToOrRedirect: "/", failureRedirect: "/login" }),
);
app.post("/logout", (req, res, next) => {
  req.logout((err) => {
    if (err) return next(err);
    res.redirect("/");
  });
});
