import { MemoryStore } from "../../src/stores/memory.ts";
import type { Contender } from "../lib/contender.ts";
import { sojournSite } from "../lib/sojourn-site.ts";

export const contender: Contender = {
  name: "sojourn, memory",
  kind: "ours",
  over: "bare-express",
  open: (data) => sojournSite(data, { store: new MemoryStore() }),
};
