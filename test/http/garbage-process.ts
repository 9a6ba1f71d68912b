import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { session as middleware } from "../../src/index.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { asynchronous } from "../support/asynchronous.ts";

/** A server for `garbage.test.ts`: its store answers later, and `/garbage` says what only a full collection removes. */
const collect = globalThis.gc;
if (collect === undefined) throw new Error("needs --expose-gc");
const sessions = middleware({
  secret: "a secret for tests, of 32 bytes or more",
  store: asynchronous(new MemoryStore({ maxEntries: 50 })),
});

const server = createServer((req, res) => {
  if (req.url === "/garbage") {
    // Twice, because what survives the first one is young still.
    collect({ type: "minor" });
    collect({ type: "minor" });
    const before = process.memoryUsage().heapUsed;
    collect();
    res.end(String(before - process.memoryUsage().heapUsed));
    return;
  }
  sessions(req, res, async () => {
    const session = sessions.of(req);
    if (req.url === "/login") await session.login("ann");
    Object.assign(session, { views: Math.random() });
    res.end("done");
  });
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
