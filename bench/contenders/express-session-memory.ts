import type { Contender } from "../lib/contender.ts";
import { expressSessionSite } from "../lib/express-session-site.ts";

export const contender: Contender = {
  name: "express-session, its MemoryStore",
  kind: "peer",
  over: "bare-express",
  open: (data) => expressSessionSite(data),
};
