import type { SojournError } from "../contract/errors.ts";
import { openPool, type PostgresClient, type PostgresPool } from "./postgres/client.ts";
import { postgres, refuseBinary } from "./postgres/dialect.ts";
import { checkedUrl, givenPool, ownPool } from "./sql/pools.ts";
import { checkedOptions, SqlStore, type SqlStoreOptions } from "./sql/sql-store.ts";

export type * from "../contract/types.ts";
export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./postgres/client.ts";
export type { SqlStoreOptions } from "./sql/sql-store.ts";

/** Options for {@link PostgresStore}. */
export interface PostgresStoreOptions extends SqlStoreOptions {
  /** PostgreSQL schema of the table. Default: the first one in the connection's `search_path`. */
  schema?: string | undefined;
  /**
   * Whether to prepare statements, once per connection. Default `true`. Set `false` behind
   * PgBouncer in transaction mode, where the next statement may run in another server process.
   */
  prepare?: boolean | undefined;
}

/**
 * Stores sessions in PostgreSQL 14 or newer. Each operation on a session is one atomic statement
 * and one round trip. So any isolation level works, and no transaction stays open.
 *
 * The first call creates the table. While the server is down, calls fail; the application can
 * start.
 *
 * @param poolOrUrl a URL, for a pool that the store owns; or a `Pool` of the package `pg`, which
 * `close` leaves open. Give yours `connectionTimeoutMillis`, a `lock_timeout` and an `error`
 * listener. A URL with `?sslmode=verify-full` verifies the server's certificate.
 * @throws TypeError that names the invalid option. Methods reject with a {@link SojournError}:
 * `STORE_UNAVAILABLE`, `STORE_TIMEOUT`, `STORE_FULL`, `STORE_CORRUPT`, `TOO_LARGE` or
 * `STORE_CLOSED`. No error holds a value of a row or a credential.
 * @example
 * import { session } from "sojourn";
 * import { PostgresStore } from "sojourn/postgres";
 *
 * const store = new PostgresStore(process.env.DATABASE_URL ?? "postgres://localhost/app");
 * const sessions = session({ store });
 */
export class PostgresStore extends SqlStore<PostgresPool, PostgresClient> {
  constructor(poolOrUrl: string | PostgresPool, options: PostgresStoreOptions = {}) {
    const { prepare = true } = options;
    const checked = checkedOptions("PostgresStore", options);
    const own = (url: string) => ownPool(url, openPool(url, checked, prepare));
    const source =
      typeof poolOrUrl === "string"
        ? own(checkedUrl("PostgresStore", poolOrUrl, "postgres", "postgresql"))
        : givenPool(checkedPool(poolOrUrl));
    super(postgres(prepare), source, checked);
  }
}

function checkedPool(pool: PostgresPool): PostgresPool {
  if (typeof pool === "object" && pool !== null && typeof pool.connect === "function") {
    // A Client has `connect` too, and so do other databases' clients. Of all that can run a query,
    // only a Pool has `totalCount`.
    const runsQueries = ["query", "sendCommand", "call"].some((name) => name in pool);
    if (!runsQueries || "totalCount" in pool) {
      refuseBinary("options" in pool ? pool.options : undefined);
      return pool;
    }
  }
  throw new TypeError(
    'PostgresStore: the first argument must be a URL or a Pool of the package "pg", new pg.Pool(…); a Client is one connection only',
  );
}
