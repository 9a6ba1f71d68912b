import { setTimeout } from "node:timers/promises";
import express, { type Request, type RequestHandler, type Response } from "express";
import { type Awaitable, isPromise, ROUTES, type Site, type Uses } from "./contender.ts";
import type { SessionData } from "./session-data.ts";

/** Of a response that is streamed. */
const CHUNKS = 50;

/** Express 5 with this middleware, and a route for every use. */
export function expressSite(
  middleware: readonly RequestHandler[],
  uses: Uses<Request, Response>,
  close: () => Awaitable<unknown> = () => undefined,
): Site {
  const app = express();
  for (const handler of middleware) app.use(handler);
  app.get("/none", (_req, res) => answer(res, "hello"));
  for (const route of ROUTES) {
    app.get(`/${route}`, (req, res) => {
      const value = uses[route](req, res);
      // Express passes a rejection on to its error handler.
      return isPromise(value) ? value.then((settled) => answer(res, settled)) : answer(res, value);
    });
  }
  app.get("/stream", (req, res) => {
    uses.read(req, res);
    res.type("text/plain");
    for (let chunk = 0; chunk < CHUNKS; chunk++) res.write("some text of a page\n");
    res.end();
  });
  const { increment } = uses;
  if (increment !== undefined)
    app.get("/increment", async (req, res) => {
      await setTimeout(Number(req.query["ms"]));
      answer(res, await increment(req));
    });
  // Handlers that take their time between reading a session and writing to it, as those that ask a database do.
  app.get("/late/put", async (req, res) => {
    const session = sessionOf(req);
    const before = session["views"];
    await setTimeout(Number(req.query["ms"]));
    session[String(req.query["name"])] = true;
    answer(res, before);
  });
  app.get("/late/write", async (req, res) => {
    const session = sessionOf(req);
    const views = Number(session["views"]) + 1;
    await setTimeout(Number(req.query["ms"]));
    session["views"] = views;
    answer(res, views);
  });
  app.get("/put", (req, res) => {
    sessionOf(req)[String(req.query["name"])] = true;
    answer(res, "done");
  });
  app.get("/names", (req, res) => answer(res, JSON.stringify(Object.keys(sessionOf(req)))));
  return { listener: app, close };
}

/** What most handlers do; it looks at the request's headers, which Node parses only then, with every contender. */
function answer(res: Response, value: unknown): void {
  res.type("text/plain").send(String(value ?? "nothing"));
}

/** What `req.session` is with sojourn, express-session and cookie-session alike: properties. */
export function sessionOf(req: Request): Record<string, unknown> {
  return (req as unknown as { session: Record<string, unknown> }).session;
}

/** Logs in by a contender's own way, then sets a property. */
export function enterBy(login: (req: Request) => unknown): (req: Request) => unknown {
  return async (req) => {
    await login(req);
    sessionOf(req)["basket"] = "lamp";
  };
}

/** The uses that are the same wherever `req.session` is an object with the data as its properties. */
export function propertyUses(data: SessionData): Omit<Uses<Request, Response>, "login" | "enter" | "logout"> {
  return {
    read: (req) => sessionOf(req)["views"],
    write(req) {
      const session = sessionOf(req);
      session["views"] = Number(session["views"]) + 1;
      return session["views"];
    },
    whole: (req) => data.weigh(sessionOf(req)),
    fill: (req) => void Object.assign(sessionOf(req), data.values),
    who: (req) => sessionOf(req)["userId"],
  };
}
