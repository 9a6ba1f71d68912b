// A store of ours in the original, as its own types have it.
import express from "express";
import session from "express-session";
import dropIn, { toExpressStore } from "sojourn/express-session";
import { SqliteStore } from "sojourn/sqlite";

declare module "express-session" {
  interface SessionData {
    user: string;
  }
}

const store = toExpressStore(new SqliteStore("sessions.db"), { ttl: undefined });
const app = express();
app.use(session({ store, secret: "s", resave: false, saveUninitialized: false }));
app.get("/", (req, res) => {
  const user: string | undefined = req.session.user;
  res.end(user);
});
store.get("id", (error, found) => console.log(error, found?.cookie.path));
await store.close();
export const same: dropIn.Store = store;
export const middleware = dropIn({ store, secret: "s" });
