import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestHandler } from "express";
import type { Site } from "./contender.ts";
import { expressSite } from "./express-site.ts";
import type { Sketch } from "./limit.ts";
import type { SessionData } from "./session-data.ts";

const OPEN = Symbol("open");
type Opener = (req: IncomingMessage, res: ServerResponse) => Sketch;
interface Prepared {
  [OPEN]?: Opener;
}

/** A sketch on Express: one middleware, that only leaves on the request what can open the session, as nobody may want it. */
export function limitSite(data: SessionData, open: Opener): Site {
  const middleware: RequestHandler = (req: object, _res, next) => {
    (req as Prepared)[OPEN] = open;
    next();
  };
  const session = (req: IncomingMessage & Prepared, res: ServerResponse): Sketch => {
    const opener = req[OPEN];
    if (opener === undefined) throw new Error("the middleware did not run");
    return opener(req, res);
  };
  return expressSite([middleware], {
    read: (req, res) => session(req, res).get("views"),
    write(req, res) {
      const opened = session(req, res);
      const views = Number(opened.get("views")) + 1;
      opened.set({ views });
      opened.commit();
      return views;
    },
    whole: (req, res) => data.weigh(session(req, res).all()),
    fill(req, res) {
      const opened = session(req, res);
      opened.set(data.values);
      opened.commit();
    },
    login(req, res) {
      const opened = session(req, res);
      opened.renew();
      opened.set({ userId: "alice" });
      opened.commit();
    },
    enter(req, res) {
      const opened = session(req, res);
      opened.renew();
      opened.set({ userId: "alice", basket: "lamp" });
      opened.commit();
    },
    logout: (req, res) => session(req, res).end(),
    who: (req, res) => session(req, res).get("userId"),
  });
}
