import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Contender } from "../lib/contender.ts";
import { expressSite } from "../lib/express-site.ts";
import { load } from "../lib/peer.ts";

interface IronSession extends Record<string, unknown> {
  save(): Promise<void>;
  destroy(): void;
}
interface Settings {
  password: string;
  cookieName: string;
  cookieOptions: { secure: boolean };
}
const {
  getIronSession,
}: {
  getIronSession(req: IncomingMessage, res: ServerResponse, settings: Settings): Promise<IronSession>;
} = load("iron-session");

export const contender: Contender = {
  name: "iron-session",
  kind: "peer",
  over: "bare-express",
  stateless: true,
  note: "encrypted; has no middleware, so only who asks for the session pays for it",
  open(data) {
    const settings = {
      password: randomBytes(32).toString("base64url"),
      cookieName: "session",
      // The other contenders' requests come over plain HTTP too.
      cookieOptions: { secure: false },
    };
    return expressSite([], {
      read: async (req, res) => (await getIronSession(req, res, settings))["views"],
      async write(req, res) {
        const session = await getIronSession(req, res, settings);
        session["views"] = Number(session["views"]) + 1;
        await session.save();
        return session["views"];
      },
      whole: async (req, res) => data.weigh(await getIronSession(req, res, settings)),
      async fill(req, res) {
        const session = await getIronSession(req, res, settings);
        Object.assign(session, data.values);
        await session.save();
      },
      async login(req, res) {
        const session = await getIronSession(req, res, settings);
        session["userId"] = "alice";
        await session.save();
      },
      async enter(req, res) {
        const session = await getIronSession(req, res, settings);
        Object.assign(session, { userId: "alice", basket: "lamp" });
        await session.save();
      },
      logout: async (req, res) => (await getIronSession(req, res, settings)).destroy(),
      who: async (req, res) => (await getIronSession(req, res, settings))["userId"],
    });
  },
};
