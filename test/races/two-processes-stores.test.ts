import { after } from "node:test";
import type { Clock } from "../../src/contract/time.ts";
import type { IndexedStore } from "../../src/index.ts";
import { FileStore } from "../../src/stores/file.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { dropMysqlTables, sharedMysql } from "../support/servers/mariadb.ts";
import { dropTables, sharedPostgres } from "../support/servers/postgres.ts";
import { tableName } from "../support/servers/private-process.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { testReplacements } from "./pairs.ts";

/** What replaces a session, with what meets its replacement, each served by a process of its own, over the stores that several processes share. */
const limits = { processes: 2, preemptions: 1 } as const;
const { folder, remove } = temporaryFolder();
const table = tableName();

after(async () => {
  remove();
  if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
  if (sharedPostgres.skip === undefined) await dropTables(sharedPostgres.url, table);
  if (sharedMysql.skip === undefined) await dropMysqlTables(sharedMysql.url, table);
});

const timeoutMs = 60_000;
const stores: Record<string, { makeStore: (clock: Clock) => IndexedStore; skip?: string | undefined }> = {
  file: { makeStore: (clock) => new FileStore(folder, { clock }) },
  redis: {
    makeStore: (clock) => new RedisStore(sharedRedis.url, { prefix: keyPrefix(), clock }),
    skip: sharedRedis.skip,
  },
  postgres: {
    makeStore: (clock) => new PostgresStore(sharedPostgres.url, { table, clock, timeoutMs }),
    skip: sharedPostgres.skip,
  },
  mysql: { makeStore: (clock) => new MysqlStore(sharedMysql.url, { table, clock, timeoutMs }), skip: sharedMysql.skip },
};
for (const [name, { makeStore, skip }] of Object.entries(stores)) {
  testReplacements(name, makeStore, { ...limits, skip }, ["write", "login", "regenerate-keep", "logout", "revoke"]);
}
