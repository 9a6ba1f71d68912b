// As drop-in.ts, with `require`.
import express = require("express");
import session = require("express-session");

declare module "express-session" {
  interface SessionData {
    user: string;
  }
}

const options: session.SessionOptions = { secret: "s", store: new session.MemoryStore() };
const app = express();
app.use(session(options));
app.get("/", (req, res) => {
  const user: string | undefined = req.session.user;
  req.session.user = "ada";
  req.session.destroy(() => res.end(user));
  // @ts-expect-error a property that nobody declared
  req.session.undeclared = 1;
});

export const data: session.SessionData = { cookie: new session.Cookie(), user: "ada" };
