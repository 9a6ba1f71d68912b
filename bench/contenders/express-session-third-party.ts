import type { Contender } from "../lib/contender.ts";
import { expressSessionSite } from "../lib/express-session-site.ts";
import { ThirdPartyStore } from "../lib/third-party-store.ts";

export const contender: Contender = {
  name: "express-session, a store that answers later",
  kind: "peer",
  over: "bare-express",
  open: (data) => expressSessionSite(data, new ThirdPartyStore()),
};
