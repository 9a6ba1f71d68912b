import type { Contender } from "../lib/contender.ts";
import { answer } from "../lib/express-site.ts";

export const contender: Contender = {
  name: "node:http, bare",
  kind: "bare",
  open: () => ({ listener: (req, res) => answer(res, req.url === "/none" ? "hello" : "1"), close: () => undefined }),
};
