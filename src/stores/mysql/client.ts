import { Socket } from "node:net";
import { requiredPackage } from "../optional-package.ts";

/** What the store needs from a pool of `mysql2/promise`. */
export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>;
}

/** What the store needs from a pool of `mysql2`: its promise version. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

/** A connection that was checked out of a {@link MysqlPool}. */
export interface MysqlConnection {
  execute(query: MysqlQuery): Promise<[unknown, unknown]>;
  /** Runs a statement that can't be prepared. */
  query(query: { sql: string }): Promise<[unknown, unknown]>;
  release(): void;
  destroy(): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** A statement in the form that `mysql2` takes. It overrides options of the application's pool. */
export interface MysqlQuery {
  sql: string;
  values: (string | number | Buffer | null)[];
  rowsAsArray: boolean;
  nestTables: boolean;
  namedPlaceholders: boolean;
  typeCast: (field: unknown, next: () => unknown) => unknown;
  supportBigNumbers: boolean;
  bigNumberStrings: boolean;
}

/** How long a transaction may wait for its next statement. */
const MOST_IDLE_SECONDS = 5;

// Not exported: its type is the package's, which may not be installed.
const loadPackage = () =>
  requiredPackage<Pick<typeof import("mysql2"), "createPool">>(
    "MysqlStore",
    "mysql2",
    "createPool",
    () => import("mysql2"),
  );

/** @throws TypeError if the package is not installed */
export async function requirePackage(): Promise<void> {
  await loadPackage();
}

/** Makes a pool that the store owns. @throws TypeError if the package is not installed */
export async function openPool(
  url: string,
  { maxConnections, timeoutMs }: { maxConnections: number; timeoutMs: number },
): Promise<{ pool: MysqlPool; end(): Promise<void> }> {
  const { createPool } = await loadPackage();
  const ssl = tlsOf(url);
  const pool = createPool({
    uri: url,
    connectionLimit: maxConnections,
    connectTimeout: timeoutMs,
    trace: false,
    // Otherwise the server could read this machine's files (LOAD DATA LOCAL).
    flags: ["-LOCAL_FILES"],
    ...(ssl !== undefined && { ssl }),
  });
  // Shorter than the deadline, in whole seconds: a statement that the server gave up certainly had
  // no effect, and no thread keeps waiting for a lock for a closed connection.
  const seconds = Math.max(1, Math.floor((timeoutMs * 0.75) / 1_000));
  const sockets = new Set<Socket>();
  const promised = pool.promise();
  // Idle connections don't keep the process alive.
  pool.on("release", (connection) => socketOf(connection)?.unref());
  pool.on("connection", (connection) => {
    const socket = socketOf(connection);
    if (socket !== undefined) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    }
    // In a comment that only MariaDB reads: if this machine vanishes in a transaction, the server
    // gives up the transaction and its locks. MySQL has no such setting.
    const mariadb = `/*M!100300 , idle_transaction_timeout = ${MOST_IDLE_SECONDS} */`;
    connection.query(
      `SET SESSION innodb_lock_wait_timeout = ${seconds}, lock_wait_timeout = ${seconds} ${mariadb}`,
      () => {},
    );
  });
  return {
    pool: {
      async getConnection() {
        const connection = await promised.getConnection();
        socketOf(connection.connection)?.ref();
        return connection;
      },
    },
    async end() {
      await promised.end();
      // A server that doesn't confirm the end would keep the process alive.
      for (const socket of sockets) socket.destroySoon();
    },
  };
}

/** Closes a connection without waiting for the server, which `mysql2` alone would do. */
export function discard(connection: MysqlConnection): void {
  connection.destroy();
  if ("connection" in connection) socketOf(connection.connection)?.destroy();
}

/** Returns the socket of a callback connection. The types of `mysql2` lack the property. */
function socketOf(connection: unknown): Socket | undefined {
  const { stream }: { stream?: unknown } = Object(connection);
  return stream instanceof Socket ? stream : undefined;
}

/**
 * Reads the URL's TLS options. Verifies the server's name too, unless the URL says not to: `mysql2`
 * alone verifies the issuer only. Returns `undefined` for a profile name, which `mysql2` reads
 * itself.
 */
function tlsOf(url: string): object | undefined {
  let ssl: unknown;
  try {
    ssl = JSON.parse(new URL(url).searchParams.get("ssl") ?? "null");
  } catch {}
  if (ssl === true) return { verifyIdentity: true };
  return typeof ssl === "object" && ssl !== null ? { verifyIdentity: true, ...ssl } : undefined;
}
