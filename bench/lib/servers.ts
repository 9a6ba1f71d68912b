import { createConnection } from "node:net";
import { noPrivateMariadb, PrivateMariadb } from "../../test/support/servers/mariadb.ts";
import { noPrivatePostgres, PrivatePostgres } from "../../test/support/servers/postgres.ts";
import { noPrivateRedis, PrivateRedis } from "../../test/support/servers/redis.ts";

/** Servers of a contender's own, each on a free port of 127.0.0.1 and in a temporary folder. */
export interface Server {
  url: string;
  /** How many commands clients have sent it since the first call, by its own account. */
  commands(): Promise<number>;
  stop(): Promise<void>;
}

/** Why there can be none of this kind; `undefined` where there can. */
export const missing: { redis(): string | undefined; postgres(): string | undefined; mysql(): string | undefined } = {
  redis: () => noPrivateRedis,
  postgres: () => noPrivatePostgres,
  mysql: () => noPrivateMariadb,
};

/** Keeps nothing on disk. */
export async function startRedis(): Promise<Server> {
  const redis = await PrivateRedis.start();
  const monitor = new Monitor(redis.port);
  return {
    url: redis.url,
    commands: async () => {
      await monitor.open();
      const text = `mark-${monitor.count}-${performance.now()}`;
      const seen = monitor.until(text);
      await redis.ask("ECHO", text);
      return await seen;
    },
    async stop() {
      monitor.close();
      await redis.stop();
    },
  };
}

/** As it comes: every commit is synced to the disk; a private one has less memory than that. Counts statements by `pg_stat_statements`, which belongs to PostgreSQL. */
export async function startPostgres(): Promise<Server> {
  const postgres = await PrivatePostgres.start({
    shared_buffers: "128MB",
    shared_preload_libraries: "pg_stat_statements",
    "pg_stat_statements.save": "off",
  });
  await postgres.query("CREATE EXTENSION pg_stat_statements");
  const own = "%pg_stat_statements%";
  return {
    url: postgres.url(),
    async commands() {
      const [row] = await postgres.query(
        `SELECT sum(calls)::int AS calls FROM pg_stat_statements WHERE query NOT LIKE '${own}'`,
      );
      return Number(row?.["calls"] ?? 0);
    },
    stop: () => postgres.stop(),
  };
}

/** MariaDB, as it comes: every commit is synced to the disk. A private one has less memory than that. */
export async function startMysql(): Promise<Server> {
  const mysql = await PrivateMariadb.start();
  await mysql.stop();
  await mysql.start("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M");
  const ends = ["begin", "commit", "rollback"].map((name) => `'Com_${name}'`);
  return {
    url: mysql.url(),
    async commands() {
      const rows = await mysql.query(
        `SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_stmt_execute', ${ends.join(", ")})`,
      );
      return rows.reduce((sum, row) => sum + Number(row["Value"]), 0);
    },
    stop: () => mysql.stop(),
  };
}

/** Redis's `MONITOR` on a connection of its own. It shows scripts' own commands too, and says that they are. */
class Monitor {
  readonly #port: number;
  count = 0;
  #text = "";
  #wanted: { mark: string; resolve(count: number): void } | undefined;
  #opened: Promise<void> | undefined;
  #close: () => void = () => undefined;

  constructor(port: number) {
    this.#port = port;
  }

  open(): Promise<void> {
    this.#opened ??= new Promise((resolve, reject) => {
      const socket = createConnection(this.#port, "127.0.0.1");
      this.#close = () => socket.destroy();
      socket.setEncoding("utf8").on("error", reject).write("MONITOR\r\n");
      socket.once("data", () => {
        socket.on("data", (text: string) => this.#take(text));
        resolve();
      });
    });
    return this.#opened;
  }

  until(mark: string): Promise<number> {
    return new Promise((resolve) => {
      this.#wanted = { mark, resolve };
    });
  }

  close(): void {
    this.#close();
  }

  #take(text: string): void {
    const lines = (this.#text + text).split("\r\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) {
      const [, from, command] = /^\+[\d.]+ \[\d+ (\S+)\] "(\w+)"/.exec(line) ?? [];
      if (this.#wanted !== undefined && line.includes(this.#wanted.mark)) this.#wanted.resolve(this.count);
      else if (from !== "lua" && !CONNECTING.has(command?.toLowerCase() ?? "")) this.count++;
    }
  }
}

/** What a client says when it connects, not for a request. */
const CONNECTING = new Set(["hello", "client", "select", "auth", "info", "config", "ping"]);
