import { randomBytes } from "node:crypto";
import type { RequestHandler } from "express";
import type { Contender } from "../lib/contender.ts";
import { expressSite, propertyUses } from "../lib/express-site.ts";
import { load } from "../lib/peer.ts";

const cookieSession: (options: { name: string; keys: string[] }) => RequestHandler = load("cookie-session");

interface WithSession {
  session: Record<string, unknown> | null;
}

export const contender: Contender = {
  name: "cookie-session",
  kind: "peer",
  over: "bare-express",
  stateless: true,
  note: "signed, not encrypted",
  open(data) {
    const keys = [randomBytes(32).toString("base64url")];
    return expressSite([cookieSession({ name: "session", keys })], {
      ...propertyUses(data),
      login(req: object) {
        (req as WithSession).session = { userId: "alice" };
      },
      logout(req: object) {
        (req as WithSession).session = null;
      },
    });
  },
};
