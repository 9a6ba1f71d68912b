import { PostgresStore } from "../../src/stores/postgres.ts";
import { dropTables, postgresQuery, sharedPostgres } from "../servers/postgres.ts";
import { networkFaults } from "./sql-network.ts";

const { url, skip } = sharedPostgres;
networkFaults({
  name: "PostgresStore",
  port: Number(new URL(url).port || 5432),
  skip:
    skip ?? (/^(localhost|127\.0\.0\.1)$/.test(new URL(url).hostname) ? undefined : "the server is on another machine"),
  open: (port, options) => {
    const at = new URL(url);
    at.hostname = "127.0.0.1";
    at.port = String(port);
    return new PostgresStore(at.href, options);
  },
  query: (s) => postgresQuery(url, s),
  dropTables: (...t) => dropTables(url, ...t),
});
