import type { Contender } from "../lib/contender.ts";
import { type CookieSession, cookieSessionSite } from "../lib/cookie-session-site.ts";
import { load } from "../lib/peer.ts";

const cookieSession: CookieSession = load("cookie-session");

export const contender: Contender = {
  name: "cookie-session",
  kind: "peer",
  over: "bare-express",
  stateless: true,
  note: "signed, not encrypted",
  open: (data) => cookieSessionSite(data, cookieSession),
};
