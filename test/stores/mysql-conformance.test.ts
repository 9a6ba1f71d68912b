import { after } from "node:test";
import mysql from "mysql2";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { dropMysqlTables, mysqlQuery, sharedMysql } from "../support/servers/mariadb.ts";
import { tableName } from "../support/servers/private-process.ts";

const { url, skip } = sharedMysql;
/** One table for all checks, emptied after each: making one takes a server longer than a check does. */
const table = tableName();
/** No deadline is what these checks are about, and a busy machine must not fail them. */
const timeoutMs = 60_000;
after(async () => {
  if (skip === undefined) await dropMysqlTables(url, table);
});

storeConformance({
  name: "MysqlStore, two pools of its own",
  skip,
  async open(clock) {
    return [new MysqlStore(url, { table, clock, timeoutMs }), new MysqlStore(url, { table, clock, timeoutMs })];
  },
  remove: () => emptied(),
});

/** Whatever an application may have told its pool. */
const pool = mysql.createPool({
  uri: url,
  connectionLimit: 5,
  charset: "latin1_swedish_ci",
  flags: ["-FOUND_ROWS"],
  namedPlaceholders: true,
  supportBigNumbers: true,
  bigNumberStrings: true,
  typeCast: () => "cast",
});
after(() => pool.promise().end());

storeConformance({
  name: "MysqlStore, an application's pool with settings of its own",
  skip,
  async open(clock) {
    return [
      new MysqlStore(pool, { table, clock, timeoutMs }),
      new MysqlStore(pool.promise(), { table, clock, timeoutMs }),
    ];
  },
  remove: () => emptied(),
});

async function emptied(): Promise<void> {
  await mysqlQuery(url, `DELETE FROM ${table}`);
}
