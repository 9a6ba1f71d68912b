// What applications in ES modules write. The original is imported first, whose types declare another `req.session`.
import "express-session";
import express from "express";
import { MemoryStore, type SessionOptions, SojournError, session } from "sojourn";
import * as sealed from "sojourn/sealed";
import { SqliteStore } from "sojourn/sqlite";

declare module "sojourn" {
  interface SessionData {
    cart: string[];
  }
}

const options: SessionOptions = { secret: process.env["SECRET"], store: new MemoryStore() };
const app = express();
app.use(session(options));
app.get("/", async (req, res) => {
  const cart: string[] | undefined = req.session.cart;
  const user: string | null = req.session.userId;
  await req.session.login("ada");
  // @ts-expect-error a property that nobody declared
  req.session.undeclared = 1;
  // @ts-expect-error it is the original's session that has a cookie
  req.session.cookie.maxAge = 1;
  res.json({ cart, user });
});

export const store = new SqliteStore("sessions.db");
export { SojournError, sealed };
