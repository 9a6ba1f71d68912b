import pg from "pg";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { dropTables, postgresQuery, sharedPostgres } from "../support/servers/postgres.ts";
import { admissionFaults } from "./sql-admissions.ts";
import { type NetworkSubject, networkFaults } from "./sql-network.ts";

const { url, skip } = sharedPostgres;
const subject: NetworkSubject = {
  name: "PostgresStore",
  port: Number(new URL(url).port || 5432),
  skip:
    skip ?? (/^(localhost|127\.0\.0\.1)$/.test(new URL(url).hostname) ? undefined : "the server is on another machine"),
  open: (port, options) => new PostgresStore(through(port), options),
  share: (port, { maxConnections, ...options }) => {
    const pool = new pg.Pool({ connectionString: through(port), max: maxConnections });
    pool.on("error", () => undefined);
    return {
      store: new PostgresStore(pool, options),
      async use(connections) {
        const clients = await Promise.all(Array.from({ length: connections }, () => pool.connect()));
        for (const client of clients) client.release();
      },
      end: () => pool.end(),
    };
  },
  query: (s) => postgresQuery(url, s),
  dropTables: (...t) => dropTables(url, ...t),
};

networkFaults(subject);
// The transaction begins with the lock; a tombstone comes with its session.
admissionFaults(subject, 6);

function through(port: number): string {
  const at = new URL(url);
  at.hostname = "127.0.0.1";
  at.port = String(port);
  return at.href;
}
