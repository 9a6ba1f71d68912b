import { requiredPackage } from "../optional-package.ts";

/** What the store needs from a pool. A `Pool` of the package `pg` is one. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
}

/** A connection that was checked out of a {@link PostgresPool}. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<PostgresResult>;
  /** `true` closes the connection instead of returning it to the pool. */
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** A statement in the form that `pg` takes. */
export interface PostgresQuery {
  /** Prepares the statement under this name, once per connection. */
  name?: string;
  text: string;
  values: (string | number | Buffer | null)[];
  rowMode: "array";
  /** Keeps values in PostgreSQL's text format, even if the application has set parsers. */
  types: { getTypeParser(): (value: unknown) => unknown };
}

/** The result of a statement. */
export interface PostgresResult {
  rows: unknown[][];
  /** Rows that the statement changed or returned. */
  rowCount: number | null;
}

// Not exported: its type is the package's, which may not be installed.
const loadPackage = () =>
  requiredPackage<Pick<typeof import("pg"), "Pool">>("PostgresStore", "pg", "Pool", () => import("pg"));

/** @throws TypeError if the package is not installed */
export async function requirePackage(): Promise<void> {
  await loadPackage();
}

/**
 * Makes a pool that the store owns.
 *
 * @param limitStatements whether to set deadlines on the server too. PgBouncer refuses such
 * settings.
 * @throws TypeError if the package is not installed
 */
export async function openPool(
  url: string,
  { maxConnections, timeoutMs }: { maxConnections: number; timeoutMs: number },
  limitStatements: boolean,
): Promise<{ pool: PostgresPool; end(): Promise<void> }> {
  const { Pool } = await loadPackage();
  const pool = new Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: timeoutMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    // Idle connections don't keep the process alive.
    allowExitOnIdle: true,
    fallback_application_name: "sojourn",
    // Shorter than the deadline: a statement that the server gave up certainly had no effect, and
    // no server process keeps waiting for a lock for a closed connection.
    ...(limitStatements && { lock_timeout: Math.ceil(timeoutMs * 0.75), statement_timeout: timeoutMs }),
  });
  // The pool has already dropped an idle connection that fails.
  pool.on("error", () => {});
  // A connection can fail in the same chunk of data that completes it, before anyone listens.
  // Without a listener, Node ends the process.
  pool.on("connect", (client) => client.on("error", () => {}));
  return { pool, end: () => pool.end() };
}
