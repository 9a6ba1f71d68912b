import { randomBytes } from "node:crypto";
import type { Contender } from "../lib/contender.ts";
import { type FastifyPlugin, fastifySite } from "../lib/fastify-site.ts";
import { load } from "../lib/peer.ts";

const fastifySecureSession: FastifyPlugin = load("@fastify/secure-session");

interface WithSession {
  session: {
    get(name: string): unknown;
    set(name: string, value: unknown): void;
    data(): Record<string, unknown>;
    regenerate(): void;
    delete(): void;
  };
}
const sessionOf = (req: object) => (req as WithSession).session;

export const contender: Contender = {
  name: "@fastify/secure-session",
  kind: "peer",
  over: "bare-fastify",
  stateless: true,
  note: "encrypted by libsodium",
  open: (data) =>
    fastifySite(
      async (app) => {
        await app.register(fastifySecureSession, { key: randomBytes(32), cookie: { path: "/", httpOnly: true } });
      },
      {
        read: (req) => sessionOf(req).get("views"),
        write(req) {
          const session = sessionOf(req);
          session.set("views", Number(session.get("views")) + 1);
          return session.get("views");
        },
        whole: (req) => data.weigh(sessionOf(req).data()),
        fill(req) {
          for (const name of data.names) sessionOf(req).set(name, data.values[name]);
        },
        login(req) {
          sessionOf(req).regenerate();
          sessionOf(req).set("userId", "alice");
        },
        enter(req) {
          sessionOf(req).regenerate();
          sessionOf(req).set("userId", "alice");
          sessionOf(req).set("basket", "lamp");
        },
        logout: (req) => sessionOf(req).delete(),
        who: (req) => sessionOf(req).get("userId"),
      },
    ),
};
