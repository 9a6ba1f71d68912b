import type { Contender } from "../lib/contender.ts";
import { type ExpressSession, expressSessionSite } from "../lib/express-session-site.ts";
import { load } from "../lib/peer.ts";
import { ThirdPartyStore } from "../lib/third-party-store.ts";

const session: ExpressSession = load("../../src/compat/express-session.ts");

export const contender: Contender = {
  name: "sojourn/express-session, a store that answers later",
  kind: "ours",
  over: "bare-express",
  open: (data) => expressSessionSite(data, new ThirdPartyStore(), undefined, session),
};
