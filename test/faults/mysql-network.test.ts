import { createPool } from "mysql2/promise";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { dropMysqlTables, mysqlQuery, sharedMysql } from "../support/servers/mariadb.ts";
import { admissionFaults } from "./sql-admissions.ts";
import { type NetworkSubject, networkFaults } from "./sql-network.ts";

const { url, skip } = sharedMysql;
const subject: NetworkSubject = {
  name: "MysqlStore",
  port: Number(new URL(url).port || 3306),
  skip:
    skip ?? (/^(localhost|127\.0\.0\.1)$/.test(new URL(url).hostname) ? undefined : "the server is on another machine"),
  open: (port, options) => new MysqlStore(through(port), options),
  share: (port, { maxConnections, ...options }) => {
    const pool = createPool({ uri: through(port), connectionLimit: maxConnections });
    return {
      store: new MysqlStore(pool, options),
      async use(count) {
        const connections = await Promise.all(Array.from({ length: count }, () => pool.getConnection()));
        for (const connection of connections) connection.release();
      },
      end: () => pool.end(),
    };
  },
  query: (s) => mysqlQuery(url, s),
  dropTables: (...t) => dropMysqlTables(url, ...t),
};

networkFaults(subject);
// A lock and a tombstone take a statement each.
admissionFaults(subject, 8);

function through(port: number): string {
  const at = new URL(url);
  at.hostname = "127.0.0.1";
  at.port = String(port);
  return at.href;
}
