import type { Contender } from "../lib/contender.ts";
import { type ExpressSession, expressSessionSite } from "../lib/express-session-site.ts";
import { load } from "../lib/peer.ts";

const session: ExpressSession = load("../../src/compat/express-session.ts");

export const contender: Contender = {
  name: "sojourn/express-session, its MemoryStore",
  kind: "ours",
  over: "bare-express",
  open: (data) => expressSessionSite(data, undefined, undefined, session),
};
