import { systemClock } from "../../src/contract/time.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import type { Contender } from "../lib/contender.ts";
import { missing, startMysql } from "../lib/servers.ts";
import { sojournSite } from "../lib/sojourn-site.ts";

export const contender: Contender = {
  name: "sojourn, MariaDB",
  kind: "ours",
  over: "bare-express",
  server: "MariaDB",
  missing: missing.mysql,
  async open(data, clock = systemClock) {
    const server = await startMysql();
    const store = new MysqlStore(server.url);
    return { ...sojournSite(data, { store, clock }, server.stop), commands: server.commands };
  },
};
