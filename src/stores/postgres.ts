import type { SojournError } from "../contract/errors.ts";
import { openPool, type PostgresClient, type PostgresPool } from "./postgres/client.ts";
import { postgres, refuseBinary } from "./postgres/dialect.ts";
import { givenPool, ownPool } from "./sql/pools.ts";
import { checkedOptions, SqlStore, type SqlStoreOptions } from "./sql/sql-store.ts";

export type * from "../contract/types.ts";
export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./postgres/client.ts";
export type { SqlStoreOptions } from "./sql/sql-store.ts";

/** What {@link PostgresStore} can be told. */
export interface PostgresStoreOptions extends SqlStoreOptions {
  /** The PostgreSQL schema of the table. Default: the first one in the connection's `search_path`. */
  schema?: string | undefined;
  /**
   * Whether statements are prepared, once for each connection. Default `true`. `false` behind PgBouncer in transaction mode, where the next
   * statement may meet another server process.
   */
  prepare?: boolean | undefined;
}

/**
 * Sessions in PostgreSQL 14 or newer. Every operation on a session is one statement and one round trip, atomic by itself, so
 * any isolation level will do and no transaction stays open.
 *
 * The table is made at first use. A server that is down then, or later, fails the calls that need it and nothing else.
 *
 * @param poolOrUrl a pool of the package `pg`, which `close` leaves alone (give it `connectionTimeoutMillis`, `lock_timeout` and a
 * listener for `error`); or a URL, for a pool of the store's own. TLS is verified where the URL asks for it (`?sslmode=verify-full`).
 * @throws TypeError for an impossible option. Its methods throw a {@link SojournError}: `STORE_UNAVAILABLE`, `STORE_TIMEOUT`,
 * `STORE_FULL`, `STORE_CORRUPT`, `STORE_CLOSED`. None holds a value of a row or a credential.
 * @example
 * app.use(session({ store: new PostgresStore(process.env.DATABASE_URL) }));
 */
export class PostgresStore extends SqlStore<PostgresPool, PostgresClient> {
  constructor(poolOrUrl: string | PostgresPool, options: PostgresStoreOptions = {}) {
    const { prepare = true } = options;
    const checked = checkedOptions("PostgresStore", options);
    const source =
      typeof poolOrUrl === "string"
        ? ownPool(checkedUrl(poolOrUrl), openPool({ ...checked, url: poolOrUrl, limitStatements: prepare }))
        : givenPool(checkedPool(poolOrUrl));
    super(postgres(prepare), source, checked);
  }
}

function checkedUrl(url: string): string {
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return url;
  throw new TypeError(
    "PostgresStore: the URL must begin with postgres:// or postgresql:// and be valid; escape its password",
  );
}

function checkedPool(pool: PostgresPool): PostgresPool {
  if (typeof pool === "object" && pool !== null && typeof pool.connect === "function") {
    // A single connection, and the client of another database, connect too. Of those that can be asked something only pools count.
    const isAsked = ["query", "sendCommand", "call"].some((name) => name in pool);
    if (!isAsked || "totalCount" in pool) {
      refuseBinary("options" in pool ? pool.options : undefined);
      return pool;
    }
  }
  throw new TypeError(
    'PostgresStore: the first argument must be a URL or a Pool of the package "pg", new pg.Pool(…); a Client is one connection only',
  );
}
