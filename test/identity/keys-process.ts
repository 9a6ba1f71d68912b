import { createServer } from "node:http";
import { managedKeys } from "../../src/identity/keys.ts";
import { session } from "../../src/index.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { application } from "../support/site.ts";

/** One of several processes that share a file and a root key, which its arguments name. */
const [file = "", rootKey = ""] = process.argv.slice(2);
const store = new SqliteStore(file);
const sessions = session({ store, secret: managedKeys({ store, rootKey }) });
const server = createServer(
  application("node", sessions, async (req, res) => {
    const user = new URL(req.url ?? "/", "http://x").searchParams.get("user");
    if (user !== null) await req.session.login(user);
    res.end(String(req.session.userId));
  }),
).listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.({ url: `http://127.0.0.1:${address.port}` });
});
process.on("disconnect", () => process.exit());
