import type { Contender } from "../lib/contender.ts";
import { expressSessionSite } from "../lib/express-session-site.ts";
import { load } from "../lib/peer.ts";
import { missing, startPostgres } from "../lib/servers.ts";

interface Store {
  close(): Promise<unknown>;
}
interface Options {
  conString: string;
  createTableIfMissing: boolean;
  errorLog(): void;
}
type StoreClass = new (options: Options) => Store;
const PgStore = load("connect-pg-simple")(load("express-session")) as StoreClass;

export const contender: Contender = {
  name: "express-session, connect-pg-simple",
  kind: "peer",
  over: "bare-express",
  server: "PostgreSQL",
  missing: missing.postgres,
  async open(data) {
    const server = await startPostgres();
    const store = new PgStore({
      conString: server.url,
      createTableIfMissing: true,
      // It would write that the server ended idle connections, which happens at the end; requests that fail are noticed anyhow.
      errorLog: () => undefined,
    });
    const site = expressSessionSite(data, store, async () => {
      await store.close();
      await server.stop();
    });
    return { ...site, commands: server.commands };
  },
};
