import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { session } from "../../src/index.ts";
import { openStore } from "../../src/stores/open.ts";

/** One request to a site whose sessions are in the store of a URL; then nothing more is done, or the sessions are closed. */
const [url = "", options = "{}", end = ""] = process.argv.slice(2);
const store = await openStore(url, JSON.parse(options));
const sessions = session({ store });
const server = createServer((req, res) =>
  sessions(req, res, (error?: unknown) => {
    if (error === undefined) Object(req).session.visits = 1;
    res.end(error === undefined ? "ok" : String(error));
  }),
);
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;
console.log(await (await fetch(`http://127.0.0.1:${port}`, { headers: { connection: "close" } })).text());
await new Promise((resolve) => server.close(resolve));
// With nothing else to wait for, the answers still come.
for (let n = 0; n < 3; n++) await store.load("AAAAAAAAAAAAAAAAAAAAAA");
if (end === "close") await sessions.close();
console.log("done");
