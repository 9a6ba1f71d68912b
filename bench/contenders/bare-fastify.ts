import type { Contender } from "../lib/contender.ts";
import { fastifySite } from "../lib/fastify-site.ts";

const one = () => 1;

export const contender: Contender = {
  name: "Fastify 5, bare",
  kind: "bare",
  open: () =>
    fastifySite(() => undefined, {
      read: one,
      write: one,
      whole: one,
      fill: one,
      login: one,
      enter: one,
      logout: one,
      who: one,
    }),
};
