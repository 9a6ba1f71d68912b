import type { Contender } from "../lib/contender.ts";
import { expressSessionSite } from "../lib/express-session-site.ts";
import { load } from "../lib/peer.ts";
import { missing, startPostgres } from "../lib/servers.ts";

interface Store {
  close(): Promise<unknown>;
}
type StoreClass = new (options: { conString: string; createTableIfMissing: boolean }) => Store;
const PgStore = load("connect-pg-simple")(load("express-session")) as StoreClass;

export const contender: Contender = {
  name: "express-session, connect-pg-simple",
  kind: "peer",
  over: "bare-express",
  server: "PostgreSQL",
  missing: missing.postgres,
  async open(data) {
    const server = await startPostgres();
    const store = new PgStore({ conString: server.url, createTableIfMissing: true });
    const site = expressSessionSite(data, store, async () => {
      await store.close();
      await server.stop();
    });
    return { ...site, commands: server.commands };
  },
};
