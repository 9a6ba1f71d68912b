import cookieSession from "../../src/compat/cookie-session.ts";
import type { Contender } from "../lib/contender.ts";
import { cookieSessionSite } from "../lib/cookie-session-site.ts";

export const contender: Contender = {
  name: "sojourn/cookie-session",
  kind: "ours",
  over: "bare-express",
  stateless: true,
  note: "signed, not encrypted",
  open: (data) => cookieSessionSite(data, cookieSession),
};
