import { systemClock } from "../../src/contract/time.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import type { Contender } from "../lib/contender.ts";
import { missing, startPostgres } from "../lib/servers.ts";
import { sojournSite } from "../lib/sojourn-site.ts";

export const contender: Contender = {
  name: "sojourn, PostgreSQL",
  kind: "ours",
  over: "bare-express",
  server: "PostgreSQL",
  missing: missing.postgres,
  async open(data, clock = systemClock) {
    const server = await startPostgres();
    const store = new PostgresStore(server.url);
    return { ...sojournSite(data, { store, clock }, server.stop), commands: server.commands };
  },
};
