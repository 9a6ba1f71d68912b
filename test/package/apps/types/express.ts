import express, { type Request } from "express";
import { MemoryStore, type SessionOptions, session } from "sojourn";
import { SqliteStore } from "sojourn/sqlite";

declare module "sojourn" {
  interface SessionData {
    cart: string[];
    views: number;
  }
}

const options: SessionOptions = { store: new MemoryStore(), idleTimeout: "30m" };
export const stores = [options.store, new SqliteStore("sessions.db")];
export const sessions = session(options);

const app = express();
app.use(sessions);
app.get("/", async (req: Request, res) => {
  const views: number | undefined = req.session.views;
  req.session.cart = [...(req.session.cart ?? []), "tea"];
  const user: string | null = req.session.userId;
  const handle: string = req.sessionID;
  await req.session.login("ada", { remember: "30d" });

  // @ts-expect-error a property that nobody declared
  req.session.undeclared = 1;
  // @ts-expect-error the wrong type
  req.session.views = "many";
  // @ts-expect-error the handle is read-only
  req.session.id = "another";
  // @ts-expect-error no such option
  session({ idleTimeOut: "30m" });

  res.json({ views, user, handle, devices: await sessions.list("ada") });
});
