import { SealedStore } from "../../src/stores/sealed.ts";
import type { Contender } from "../lib/contender.ts";
import { sojournSite } from "../lib/sojourn-site.ts";

export const contender: Contender = {
  name: "sojourn, sealed",
  kind: "ours",
  over: "bare-express",
  stateless: true,
  open: (data) => sojournSite(data, { store: new SealedStore() }),
};
