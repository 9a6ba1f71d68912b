import type { Contender } from "../lib/contender.ts";
import { Tokens } from "../lib/limit.ts";
import { splitSite } from "../lib/limit-split.ts";

export const contender: Contender = {
  name: "limit: memory, a JSON text a property",
  kind: "limit",
  over: "bare-express",
  open: (data) => splitSite(data, new Tokens()),
};
