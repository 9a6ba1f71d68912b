import { optionalPackage } from "../optional-package.ts";

/** What the store needs of a pool of the package `pg`; a `Pool` is one. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
}

/** A connection that was checked out of a {@link PostgresPool}. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<PostgresResult>;
  /** `true` closes the connection instead of giving it back. */
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** A statement as `pg` takes it. */
export interface PostgresQuery {
  /** Prepared under this name, once for each connection. */
  name?: string;
  text: string;
  values: (string | number | Buffer | null)[];
  rowMode: "array";
  /** Values stay in PostgreSQL's text format, however the application has them parsed. */
  types: { getTypeParser(): (value: unknown) => unknown };
}

/** What `pg` answers. */
export interface PostgresResult {
  rows: unknown[][];
}

/** Settings of a pool that the store makes itself. */
export interface PoolSettings {
  url: string;
  maxConnections: number;
  timeoutMs: number;
  /** Whether the server is asked to keep deadlines too, which PgBouncer refuses to pass on. */
  limitStatements: boolean;
}

/** @throws TypeError where the package is not installed */
export async function requirePackage(): Promise<void> {
  await loadPackage();
}

// Not exported: its type is the package's, which not everybody has.
async function loadPackage(): Promise<Pick<typeof import("pg"), "Pool">> {
  const pg = await optionalPackage("pg", "Pool", () => import("pg"));
  if (pg !== undefined) return pg;
  throw new TypeError('PostgresStore with a URL needs the package "pg": npm install pg');
}

/** Makes a pool of the store's own. @throws TypeError where the package is not installed */
export async function openPool({ url, maxConnections, timeoutMs, limitStatements }: PoolSettings): Promise<{
  pool: PostgresPool;
  end(): Promise<void>;
}> {
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
    // Shorter than the deadline: what the server has given up was certainly not carried out, and no server process stays behind
    // waiting for a lock on behalf of a connection that is closed.
    ...(limitStatements && { lock_timeout: Math.ceil(timeoutMs * 0.75), statement_timeout: timeoutMs }),
  });
  // An idle connection that ends is no event: the pool has forgotten it already.
  pool.on("error", () => {});
  // One that ends in the very chunk that made it ready says so before anybody could listen: without this, Node ends the process.
  pool.on("connect", (client) => client.on("error", () => {}));
  return { pool, end: () => pool.end() };
}
