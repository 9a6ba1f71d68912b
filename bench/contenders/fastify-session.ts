import { randomBytes } from "node:crypto";
import type { Contender } from "../lib/contender.ts";
import { type FastifyPlugin, fastifySite } from "../lib/fastify-site.ts";
import { load } from "../lib/peer.ts";

const fastifyCookie: FastifyPlugin = load("@fastify/cookie");
const fastifySession: FastifyPlugin = load("@fastify/session");

interface WithSession {
  session: Record<string, unknown> & { regenerate(): Promise<void>; destroy(): Promise<void> };
}
const sessionOf = (req: object) => (req as WithSession).session;

export const contender: Contender = {
  name: "@fastify/session, its MemoryStore",
  kind: "peer",
  over: "bare-fastify",
  note: "keeps the live objects, not their JSON: nothing is parsed, and parallel requests share them",
  open: (data) =>
    fastifySite(
      async (app) => {
        await app.register(fastifyCookie);
        const secret = randomBytes(32).toString("base64url");
        // As express-session is set here: no session for who has none, no cookie on every answer.
        const settings = { saveUninitialized: false, rolling: false, cookie: { secure: false } };
        await app.register(fastifySession, { secret, ...settings });
      },
      {
        read: (req) => sessionOf(req)["views"],
        write(req) {
          const session = sessionOf(req);
          session["views"] = Number(session["views"]) + 1;
          return session["views"];
        },
        whole: (req) => data.weigh(sessionOf(req)),
        fill: (req) => void Object.assign(sessionOf(req), structuredClone(data.values)),
        async login(req) {
          await sessionOf(req).regenerate();
          sessionOf(req)["userId"] = "alice";
        },
        async enter(req) {
          await sessionOf(req).regenerate();
          Object.assign(sessionOf(req), { userId: "alice", basket: "lamp" });
        },
        logout: (req) => sessionOf(req).destroy(),
        who: (req) => sessionOf(req)["userId"],
      },
    ),
};
