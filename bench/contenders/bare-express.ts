import type { Contender } from "../lib/contender.ts";
import { expressSite } from "../lib/express-site.ts";

const one = () => 1;

export const contender: Contender = {
  name: "Express 5, bare",
  kind: "bare",
  open: () =>
    expressSite([], { read: one, write: one, whole: one, fill: one, login: one, enter: one, logout: one, who: one }),
};
