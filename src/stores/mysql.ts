import type { SojournError } from "../contract/errors.ts";
import { type MysqlCallbackPool, type MysqlConnection, type MysqlPool, openPool } from "./mysql/client.ts";
import { mysql } from "./mysql/dialect.ts";
import { checkedUrl, givenPool, ownPool } from "./sql/pools.ts";
import { checkedOptions, SqlStore, type SqlStoreOptions } from "./sql/sql-store.ts";

export type * from "../contract/types.ts";
export type { MysqlCallbackPool, MysqlConnection, MysqlPool, MysqlQuery } from "./mysql/client.ts";
export type { SqlStoreOptions } from "./sql/sql-store.ts";

/** Options for {@link MysqlStore}. */
export interface MysqlStoreOptions extends SqlStoreOptions {
  /** Database of the table. Default: the connection's own. */
  schema?: string | undefined;
}

/**
 * Stores sessions in an InnoDB table of MySQL 8 or newer, or MariaDB 10.6 or newer. Each operation
 * on a session is one atomic statement. A second one, if any, only finds out why the first changed
 * nothing. No transaction stays open.
 *
 * The first call creates the table. While the server is down, calls fail; the application can
 * start.
 *
 * @param poolOrUrl a URL, for a pool that the store owns; or a pool of the package `mysql2` or
 * `mysql2/promise`, with autocommit, which `close` leaves open. A URL with `?ssl=true` verifies the
 * server's certificate and name.
 * @throws TypeError that names the invalid option. Methods reject with a {@link SojournError}:
 * `STORE_UNAVAILABLE`, `STORE_TIMEOUT`, `STORE_FULL`, `STORE_CORRUPT`, `TOO_LARGE` or
 * `STORE_CLOSED`. No error holds a value of a row or a credential.
 * @example
 * import { session } from "sojourn";
 * import { MysqlStore } from "sojourn/mysql";
 *
 * const store = new MysqlStore(process.env.MYSQL_URL ?? "mysql://localhost/app");
 * const sessions = session({ store });
 */
export class MysqlStore extends SqlStore<MysqlPool, MysqlConnection> {
  constructor(poolOrUrl: string | MysqlPool | MysqlCallbackPool, options: MysqlStoreOptions = {}) {
    const checked = checkedOptions("MysqlStore", options);
    const own = (url: string) => ownPool(url, openPool(url, checked));
    const source =
      typeof poolOrUrl === "string"
        ? own(checkedUrl("MysqlStore", poolOrUrl, "mysql", "mariadb"))
        : givenPool(checkedPool(poolOrUrl));
    super(mysql, source, checked);
  }
}

function checkedPool(pool: MysqlPool | MysqlCallbackPool): MysqlPool {
  if (typeof pool === "object" && pool !== null) {
    const found: unknown = "promise" in pool && typeof pool.promise === "function" ? pool.promise() : pool;
    if (isPromisePool(found)) return found;
  }
  throw new TypeError(
    'MysqlStore: the first argument must be a URL or a pool of the package "mysql2", createPool(…); createConnection(…) makes one connection only',
  );
}

/** Whether this is a pool, and its `getConnection` takes no callback. */
function isPromisePool(pool: unknown): pool is MysqlPool {
  if (typeof pool !== "object" || pool === null || !("getConnection" in pool)) return false;
  return typeof pool.getConnection === "function" && pool.getConnection.length === 0;
}
