import { setImmediate } from "../contract/time.ts";
import { nodeHttp } from "./held-response/head.ts";
import type { SessionOptions } from "./options.ts";
import type { Sessions } from "./sessions.ts";

/** The second and the third let V8 note the shapes of objects: the first visitor's login takes 0.2 ms less. */
const LOGINS = 3;

let isDone = false;

/**
 * Logs users in to a `session()` of its own, once in a process, as soon as the application has
 * started and waits. V8 compiles a function when it first runs, and a login runs 140 of them: without
 * this, the first visitor who logs in waits 4 ms, with it 1 ms. The request comes from nowhere, the
 * response leads nowhere, and the store is dropped.
 */
export function warmUpSoon(session: (options: SessionOptions) => Sessions): void {
  if (isDone) return;
  isDone = true;
  // Whatever fails here fails again where it matters.
  setImmediate(() => void logInSome(session).catch(() => undefined)).unref();
}

async function logInSome(session: (options: SessionOptions) => Sessions): Promise<void> {
  for (let i = 0; i < LOGINS; i++) await logIn(session);
}

async function logIn(session: (options: SessionOptions) => Sessions): Promise<void> {
  const { IncomingMessage, ServerResponse } = nodeHttp();
  const { Socket } = process.getBuiltinModule("node:net");
  const req = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: "/", ip: "127.0.0.1" });
  req.headers.host = "localhost";
  const res = new ServerResponse(req);
  const sessions = session({ secret: "0123456789abcdefghijklmnopqrstuvwxyz" });
  try {
    await new Promise<void>((resolve, reject) => {
      sessions(req, res, (error) => (error === undefined ? resolve() : reject(error)));
    });
    await sessions.of(req).login("warm-up");
    res.end("done");
  } finally {
    await sessions.close();
  }
}
