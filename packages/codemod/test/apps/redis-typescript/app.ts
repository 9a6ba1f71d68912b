import { RedisStore } from "connect-redis";
import express, { type NextFunction, type Request, type Response } from "express";
import session from "express-session";
import { createClient } from "redis";

declare module "express-session" {
  interface SessionData {
    userId: number;
    createdAt: number;
  }
}

export const redisClient = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });

const redisStore = new RedisStore({
  client: redisClient,
  prefix: "codemod-test:",
  ttl: 3600,
});

export const app = express();

app.use(express.urlencoded({ extended: false }));
app.use(
  session({
    store: redisStore,
    resave: false, // required: force lightweight session keep alive (touch)
    saveUninitialized: false, // recommended: only save session when data exists
    rolling: true,
    secret: process.env.SESSION_SECRET ?? "thirty-two characters of a secret",
    name: "app.sid",
    cookie: {
      httpOnly: true,
      secure: process.env.NODE_ENV === "production",
      maxAge: 60 * 60 * 1000,
    },
  }),
);

app.post("/login", async (req: Request, res: Response, next: NextFunction) => {
  req.session.regenerate((error) => {
    if (error) return next(error);
    req.session.userId = Number(req.body.id);
    req.session.createdAt = 1;
    res.redirect("/me");
  });
});

app.get("/me", (req: Request, res: Response) => {
  if (!req.session.userId) return res.sendStatus(401);
  return res.send(`${req.session.userId} since ${req.session.createdAt}`);
});

app.post("/logout", (req: Request, res: Response) => {
  delete req.session.userId;
  res.redirect("/me");
});
