import { after } from "node:test";
import type { Clock } from "../../src/contract/time.ts";
import type { IndexedStore } from "../../src/index.ts";
import { FileStore } from "../../src/stores/file.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";
import { ProbeStore } from "./probe-store.ts";
import { dropMysqlTables, sharedMysql } from "./servers/mariadb.ts";
import { dropTables, sharedPostgres } from "./servers/postgres.ts";
import { tableName } from "./servers/private-process.ts";
import { keyPrefix, removeKeys, sharedRedis } from "./servers/redis.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A kind of store, and how a test opens one of its own. */
export interface StoreKind {
  readonly name: string;
  readonly skip: string | false;
  open(clock: Clock): IndexedStore;
}

/** Every store of the package, and one in memory that answers later. What they leave behind is gone after the tests. */
export function everyStore(): readonly StoreKind[] {
  const { folder, remove } = temporaryFolder();
  const table = tableName();
  after(async () => {
    remove();
    if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
    if (sharedPostgres.skip === undefined) await dropTables(sharedPostgres.url, table);
    if (sharedMysql.skip === undefined) await dropMysqlTables(sharedMysql.url, table);
  });
  const timeoutMs = 60_000;
  let folders = 0;
  const memory = (clock: Clock) => new MemoryStore({ clock, acceptLossOnRestart: true });
  return [
    { name: "memory", skip: false, open: memory },
    {
      name: "memory that answers later",
      skip: false,
      open: (clock) => new ProbeStore(memory(clock), { async: true }).store,
    },
    { name: "SQLite", skip: false, open: (clock) => new SqliteStore(":memory:", { clock }) },
    { name: "files", skip: false, open: (clock) => new FileStore(`${folder}/${++folders}`, { clock }) },
    {
      name: "Redis",
      skip: sharedRedis.skip ?? false,
      open: (clock) => new RedisStore(sharedRedis.url, { prefix: keyPrefix(), clock }),
    },
    {
      name: "PostgreSQL",
      skip: sharedPostgres.skip ?? false,
      open: (clock) => new PostgresStore(sharedPostgres.url, { table, clock, timeoutMs }),
    },
    {
      name: "MariaDB",
      skip: sharedMysql.skip ?? false,
      open: (clock) => new MysqlStore(sharedMysql.url, { table, clock, timeoutMs }),
    },
  ];
}
