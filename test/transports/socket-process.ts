import { RedisStore } from "../../src/stores/redis.ts";
import { SealedStore } from "../../src/stores/sealed.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { socketSite } from "./socket-site.ts";

/** One of several processes of an application: a server over each of three stores, whose places its arguments name. */
const [file = "", endings = "", redis = "", prefix = ""] = process.argv.slice(2);
const secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";

const stores = {
  sqlite: new SqliteStore(file),
  sealed: new SealedStore({ revocations: new SqliteStore(endings) }),
  ...(redis !== "" && { redis: new RedisStore(redis, { prefix }) }),
};
const ports: Record<string, number> = {};
for (const [name, store] of Object.entries(stores)) {
  const { server } = socketSite({ store, secret });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (typeof address === "object" && address !== null) ports[name] = address.port;
    if (Object.keys(ports).length === Object.keys(stores).length) process.send?.(ports);
  });
}
process.on("disconnect", () => process.exit());
