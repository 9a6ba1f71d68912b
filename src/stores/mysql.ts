import type { SojournError } from "../contract/errors.ts";
import { type MysqlCallbackPool, type MysqlConnection, type MysqlPool, openPool } from "./mysql/client.ts";
import { mysql } from "./mysql/dialect.ts";
import { givenPool, ownPool } from "./sql/pools.ts";
import { checkedOptions, SqlStore, type SqlStoreOptions } from "./sql/sql-store.ts";

export type * from "../contract/types.ts";
export type { MysqlCallbackPool, MysqlConnection, MysqlPool, MysqlQuery } from "./mysql/client.ts";
export type { SqlStoreOptions } from "./sql/sql-store.ts";

/** What {@link MysqlStore} can be told. */
export interface MysqlStoreOptions extends SqlStoreOptions {
  /** The database of the table. Default: the connection's own. */
  schema?: string | undefined;
}

/**
 * Sessions in MySQL 8 or newer, or in MariaDB 10.6 or newer, in an InnoDB table. Every operation on a session is one statement,
 * atomic by itself, and a second one only to tell why the first did nothing; no transaction stays open.
 *
 * The table is made at first use. A server that is down then, or later, fails the calls that need it and nothing else.
 *
 * @param poolOrUrl a pool of the package `mysql2` or `mysql2/promise`, with autocommit, which `close` leaves alone; or a URL, for
 * a pool of the store's own. TLS is verified, the server's name too, where the URL asks for it (`?ssl=true`).
 * @throws TypeError for an impossible option. Its methods throw a {@link SojournError}: `STORE_UNAVAILABLE`, `STORE_TIMEOUT`,
 * `STORE_FULL`, `STORE_CORRUPT`, `STORE_CLOSED`. None holds a value of a row or a credential.
 * @example
 * app.use(session({ store: new MysqlStore(process.env.MYSQL_URL) }));
 */
export class MysqlStore extends SqlStore<MysqlPool, MysqlConnection> {
  constructor(poolOrUrl: string | MysqlPool | MysqlCallbackPool, options: MysqlStoreOptions = {}) {
    const checked = checkedOptions("MysqlStore", options);
    const source =
      typeof poolOrUrl === "string"
        ? ownPool(checkedUrl(poolOrUrl), openPool({ ...checked, url: poolOrUrl }))
        : givenPool(promised(poolOrUrl));
    super(mysql, source, checked);
  }
}

function checkedUrl(url: string): string {
  if (/^(mysql|mariadb):\/\//.test(url) && URL.canParse(url)) return url;
  throw new TypeError("MysqlStore: the URL must begin with mysql:// or mariadb:// and be valid; escape its password");
}

function promised(pool: MysqlPool | MysqlCallbackPool): MysqlPool {
  if (typeof pool === "object" && pool !== null) {
    // A single connection has promises too, and the pools of `mysql` and of a cluster's part call back instead.
    const found: unknown = "promise" in pool && typeof pool.promise === "function" ? pool.promise() : pool;
    if (isPool(found)) return found;
  }
  throw new TypeError(
    'MysqlStore: the first argument must be a URL or a pool of the package "mysql2", createPool(…); createConnection(…) makes one connection only',
  );
}

function isPool(pool: unknown): pool is MysqlPool {
  if (typeof pool !== "object" || pool === null || !("getConnection" in pool)) return false;
  return typeof pool.getConnection === "function" && pool.getConnection.length === 0;
}
