import { once } from "node:events";
import { createServer, type Server } from "node:http";
import express, { type NextFunction, type Request, type Response } from "express";
import type { Clock } from "../../src/contract/time.ts";
import { type IndexedStore, type Sessions, session } from "../../src/index.ts";
import { increment, peek, put } from "../support/express-site.ts";
import type { Seen } from "./history.ts";

/** Secret keys for every process and run: what they protect is gone after it. */
const SECRET = "a key of 32 bytes, for these tests alone";

/**
 * The application that is put to the test. Every answer that says 200 was acknowledged; 401 says that there is no such session.
 * A life begins with a login; whatever belongs to it is in the session.
 */
export async function startSite(store: IndexedStore, clock: Clock): Promise<{ server: Server; sessions: Sessions }> {
  const app = express();
  // Everybody is heard of often enough for no clock's error to matter, and touches are part of what is tested.
  const sessions = session({
    store,
    clock,
    secret: SECRET,
    idleTimeout: "3m",
    absoluteTimeout: "2h",
    touchAfter: "1s",
  });
  // Not sooner than it would ever be called in production, but as often as processes of a large application would together.
  setInterval(() => sessions.prune().catch(() => undefined), 2_000).unref();
  app.use(sessions);

  app.post("/login", async (req, res) => {
    const [user, life] = [String(req.query["user"]), String(req.query["life"])];
    put(req.session, "marker", user);
    put(req.session, "life", life);
    await req.session.login(user);
    res.json(seenBy(req));
  });
  app.post("/revoke", async (req, res) => {
    res.json({ count: await sessions.revokeAll(String(req.query["user"])) });
  });

  app.use((req, res, next) => {
    if (req.session.userId === null) res.status(401).json({});
    else next();
  });
  app.get("/read", async (req, res) => {
    const { id } = req.session;
    res.json({ ...seenBy(req), version: (await store.load(id))?.version });
  });
  app.post("/append", async (req, res) => {
    const value = String(req.query["value"]);
    // Two ways to change a session: what this request set is merged, or the newest data are changed.
    if (req.query["way"] === "property") {
      put(req.session, `value ${value}`, true);
      await req.session.save();
    } else {
      await req.session.update((newest) => {
        const list = peek(newest, "list");
        put(newest, "list", [...(Array.isArray(list) ? list : []), value]);
      });
    }
    res.json(seenBy(req));
  });
  app.post("/count", async (req, res) => {
    await req.session.update((newest) => increment(newest));
    res.json(seenBy(req));
  });
  app.post("/rotate", async (req, res) => {
    if (req.query["way"] === "login") {
      await req.session.login(String(req.query["user"]));
      if (peek(req.session, "life") === undefined) {
        // The session was ended meanwhile, so this login has begun another one, which nobody has asked for.
        await req.session.logout();
        return void res.status(401).json({});
      }
    } else await req.session.regenerate({ keep: true });
    res.json(seenBy(req));
  });
  app.post("/logout", async (req, res) => {
    await req.session.logout();
    res.json({});
  });
  app.use((error: Error & { status?: number; code?: string }, _req: Request, res: Response, _next: NextFunction) => {
    const reason = error.cause instanceof Error ? `${error.message} ${error.cause.message}` : error.message;
    res.status(error.status ?? 500).json({ code: error.code ?? error.name, reason });
  });

  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, sessions };
}

function seenBy({ session }: Request): Seen {
  const list = peek(session, "list");
  const properties = Object.keys(session).filter((name) => name.startsWith("value "));
  return {
    userId: session.userId,
    marker: peek(session, "marker"),
    life: peek(session, "life"),
    values: [...(Array.isArray(list) ? list : []), ...properties.map((name) => name.slice("value ".length))],
    counter: Number(peek(session, "n") ?? 0),
  };
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on no port");
  return address.port;
}
