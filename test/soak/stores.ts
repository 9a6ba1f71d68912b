import type { Clock } from "../../src/contract/time.ts";
import type { IndexedStore } from "../../src/index.ts";
import { FileStore } from "../../src/stores/file.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";

export const storeNames = ["sqlite", "file", "redis", "postgres", "mysql"] as const;
export type StoreName = (typeof storeNames)[number];

/** Every store as an application would make it. */
export function openStore(name: StoreName, place: string, clock: Clock): IndexedStore {
  switch (name) {
    case "sqlite":
      return new SqliteStore(place, { clock });
    case "file":
      return new FileStore(place, { clock });
    case "redis":
      return new RedisStore(place, { clock });
    case "postgres":
      return new PostgresStore(place, { clock });
    case "mysql":
      return new MysqlStore(place, { clock });
  }
}

export function isStoreName(name: string): name is StoreName {
  return storeNames.some((known) => known === name);
}
