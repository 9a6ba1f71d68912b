import { optionalPackage } from "../optional-package.ts";

/** What the store needs of a pool of `mysql2/promise`. */
export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>;
}

/** What the store needs of a pool of `mysql2`: the way to the one above. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

/** A connection that was checked out of a {@link MysqlPool}. */
export interface MysqlConnection {
  execute(query: MysqlQuery): Promise<[unknown, unknown]>;
  release(): void;
  destroy(): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** A statement as `mysql2` takes it. What an application's pool may have set otherwise is set for each of them. */
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

/** Settings of a pool that the store makes itself. */
export interface PoolSettings {
  url: string;
  maxConnections: number;
  timeoutMs: number;
}

/** @throws TypeError where the package is not installed */
export async function requirePackage(): Promise<void> {
  await loadPackage();
}

// Not exported: its type is the package's, which not everybody has.
async function loadPackage(): Promise<Pick<typeof import("mysql2"), "createPool">> {
  const mysql2 = await optionalPackage("mysql2", "createPool", () => import("mysql2"));
  if (mysql2 !== undefined) return mysql2;
  throw new TypeError('MysqlStore with a URL needs the package "mysql2": npm install mysql2');
}

/** Makes a pool of the store's own. @throws TypeError where the package is not installed */
export async function openPool({ url, maxConnections, timeoutMs }: PoolSettings): Promise<{
  pool: MysqlPool;
  end(): Promise<void>;
}> {
  const { createPool } = await loadPackage();
  const ssl = tlsOf(url);
  const pool = createPool({
    uri: url,
    connectionLimit: maxConnections,
    connectTimeout: timeoutMs,
    trace: false,
    // The server could otherwise ask for files of this machine (LOAD DATA LOCAL).
    flags: ["-LOCAL_FILES"],
    ...(ssl !== undefined && { ssl }),
  });
  // Shorter than the deadline, in whole seconds: what the server has given up was certainly not carried out, and no thread
  // stays behind waiting for a lock on behalf of a connection that is closed.
  const seconds = Math.max(1, Math.floor((timeoutMs * 0.75) / 1_000));
  const streams = new Set<Closable>();
  // Idle connections don't keep the process alive.
  pool.on("release", (connection) => streamOf(connection)?.unref());
  const promised = pool.promise();
  pool.on("connection", (connection) => {
    const stream = streamOf(connection);
    if (stream !== undefined) {
      streams.add(stream);
      stream.once("close", () => streams.delete(stream));
    }
    connection.query(`SET SESSION innodb_lock_wait_timeout = ${seconds}, lock_wait_timeout = ${seconds}`, () => {});
  });
  return {
    pool: {
      async getConnection() {
        const connection = await promised.getConnection();
        streamOf(connection.connection)?.ref();
        return connection;
      },
    },
    async end() {
      await promised.end();
      // A server that doesn't answer the good-bye would keep its connections, and so the process, alive.
      for (const stream of streams) stream.destroySoon();
    },
  };
}

/** Closes a connection without waiting for the server, which `mysql2` alone would do. */
export function discard(connection: MysqlConnection): void {
  connection.destroy();
  if ("connection" in connection) streamOf(connection.connection)?.destroy();
}

/** What matters of a socket. */
interface Closable {
  once(event: "close", listener: () => void): unknown;
  destroy(): void;
  /** Once everything is written. */
  destroySoon(): void;
  ref(): unknown;
  unref(): unknown;
}

/** The socket of a callback-style connection: a property that `mysql2` has and its types don't. */
function streamOf(connection: unknown): Closable | undefined {
  if (typeof connection !== "object" || connection === null || !("stream" in connection)) return undefined;
  return isClosable(connection.stream) ? connection.stream : undefined;
}

function isClosable(stream: unknown): stream is Closable {
  if (typeof stream !== "object" || stream === null) return false;
  return ["once", "destroy", "destroySoon", "ref", "unref"].every((name) => name in stream);
}

/** What the URL says of TLS, with the server's name verified too, unless it says not to: `mysql2` alone verifies the issuer. */
function tlsOf(url: string): object | undefined {
  const text = new URL(url).searchParams.get("ssl");
  if (text === null) return undefined;
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    // The name of a profile of mysql2.
    return undefined;
  }
  if (given === true) return { verifyIdentity: true };
  return typeof given === "object" && given !== null ? { verifyIdentity: true, ...given } : undefined;
}
