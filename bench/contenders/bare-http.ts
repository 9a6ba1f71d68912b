import type { Contender } from "../lib/contender.ts";

export const contender: Contender = {
  name: "node:http, bare",
  kind: "bare",
  open: () => ({
    listener(req, res) {
      const text = req.url === "/none" ? "hello" : "1";
      res.setHeader("Content-Type", "text/plain");
      res.setHeader("Content-Length", text.length);
      res.end(text);
    },
    close: () => undefined,
  }),
};
