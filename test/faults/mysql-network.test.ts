import { MysqlStore } from "../../src/stores/mysql.ts";
import { dropMysqlTables, mysqlQuery, sharedMysql } from "../servers/mariadb.ts";
import { networkFaults } from "./sql-network.ts";

const { url, skip } = sharedMysql;
networkFaults({
  name: "MysqlStore",
  port: Number(new URL(url).port || 3306),
  skip:
    skip ?? (/^(localhost|127\.0\.0\.1)$/.test(new URL(url).hostname) ? undefined : "the server is on another machine"),
  open: (port, options) => {
    const at = new URL(url);
    at.hostname = "127.0.0.1";
    at.port = String(port);
    return new MysqlStore(at.href, options);
  },
  query: (s) => mysqlQuery(url, s),
  dropTables: (...t) => dropMysqlTables(url, ...t),
});
