// What TypeScript users of express-session write, under its own name.
import express from "express";
import session, { type SessionData, type SessionOptions, Store } from "express-session";

declare module "express-session" {
  interface SessionData {
    user: string;
  }
}

class NoStore extends Store {
  get(_id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    callback(null, null);
  }
  set(_id: string, data: SessionData, callback?: (error?: unknown) => void): void {
    callback?.(data.user.length === 0 ? new Error(data.cookie.path) : undefined);
  }
  destroy(_id: string, callback?: (error?: unknown) => void): void {
    callback?.();
  }
}

const options: SessionOptions = { secret: ["new", "old"], store: new NoStore(), cookie: { maxAge: 60_000 } };
const app = express();
app.use(session(options));
app.get("/", (req, res) => {
  const user: string | undefined = req.session.user;
  req.session.user = "ada";
  req.session.cookie.maxAge = 1;
  req.session.regenerate(() => req.session.save((error) => res.end(`${user} ${error}`)));
  req.session.touch().resetMaxAge();
  req.sessionStore.destroy(req.sessionID);
  req.sessionID = "another";
  const store: Express.SessionStore = req.sessionStore;
  store.generate(req);

  // @ts-expect-error a property that nobody declared
  req.session.undeclared = 1;
  // @ts-expect-error the wrong type
  req.session.user = 5;
  // @ts-expect-error no such option
  session({ secrets: "s" });
});

export const store: session.Store = new session.MemoryStore();
export const data: session.SessionData = { cookie: new session.Cookie(), user: "ada" };
