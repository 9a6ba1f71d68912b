import { after } from "node:test";
import pg from "pg";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { dropTables, postgresQuery, sharedPostgres } from "../support/servers/postgres.ts";
import { tableName } from "../support/servers/private-process.ts";

const { url, skip } = sharedPostgres;
/** One table for all checks, emptied after each: making one takes a server longer than a check does. */
const table = tableName();
/** No deadline is what these checks are about, and a busy machine must not fail them. */
const timeoutMs = 60_000;
after(async () => {
  if (skip === undefined) await dropTables(url, table);
});

storeConformance({
  name: "PostgresStore, two pools of its own",
  skip,
  async open(clock) {
    return [new PostgresStore(url, { table, clock, timeoutMs }), new PostgresStore(url, { table, clock, timeoutMs })];
  },
  remove: () => emptied(),
});

const pool = new pg.Pool({ connectionString: url, max: 5, allowExitOnIdle: true });

storeConformance({
  name: "PostgresStore, an application's pool, without prepared statements",
  skip,
  async open(clock) {
    const options = { table, clock, timeoutMs, prepare: false };
    return [new PostgresStore(pool, options), new PostgresStore(pool, options)];
  },
  remove: () => emptied(),
});

async function emptied(): Promise<void> {
  await postgresQuery(url, `DELETE FROM ${table}`);
}
