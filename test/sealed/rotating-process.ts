import { createServer } from "node:http";
import { session } from "../../src/index.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { hasSession } from "../support/site.ts";

/** One of several processes of an application: its keys come with its start, and new ones when it is told. */
let sessions = sessionsWith(process.argv.slice(2));

function sessionsWith(secret: string[]) {
  return session({ store: new SealedStore({ secret }) });
}

const server = createServer((req, res) => {
  sessions(req, res, () => {
    hasSession(req);
    Reflect.set(req.session, "seen", Number(Reflect.get(req.session, "seen") ?? 0) + 1);
    res.end(String(Reflect.get(req.session, "seen")));
  });
});
server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
process.on("message", (secret: string[]) => {
  sessions = sessionsWith(secret);
  process.send?.("rotated");
});
process.on("disconnect", () => process.exit());
