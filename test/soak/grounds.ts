import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import mysql from "mysql2/promise";
import pg from "pg";
import { PrivateMariadb } from "../support/servers/mariadb.ts";
import { PrivatePostgres } from "../support/servers/postgres.ts";
import { freePort } from "../support/servers/private-process.ts";
import { FaultProxy } from "../support/servers/proxy.ts";
import { PrivateRedis } from "../support/servers/redis.ts";
import { type Trouble, troubleOfNetwork } from "./nemesis.ts";
import type { StoreName } from "./stores.ts";

/** Where a store's data are, and what can happen there. Servers are private ones. */
export interface Ground {
  /** For the application, which may reach it by a bad way. */
  place: string;
  /** The same, reached directly. */
  direct: string;
  troubles: Trouble[];
  stop(): Promise<void>;
}

const TABLE = "sojourn_sessions";

export const grounds: Record<StoreName, () => Promise<Ground>> = {
  async sqlite() {
    const { folder, stop } = temporaryFolder();
    const file = join(folder, "sessions.db");
    const locked = (name: string, statement: string): Trouble => ({
      name,
      begin() {
        const other = new DatabaseSync(file, { timeout: 1_000 });
        try {
          other.exec(statement);
        } catch {
          // Someone else had it for that long; so be it.
        }
        return () => other.close();
      },
    });
    return {
      place: file,
      direct: file,
      troubles: [
        locked("the database is locked", "BEGIN EXCLUSIVE"),
        locked("a reader keeps the log from being cleared", `BEGIN; SELECT count(*) FROM ${TABLE}`),
        locked("the log is cleared", "PRAGMA wal_checkpoint(TRUNCATE)"),
      ],
      stop,
    };
  },

  async file() {
    const { folder, stop } = temporaryFolder();
    const place = join(folder, "sessions");
    return { place, direct: place, troubles: [], stop };
  },

  async redis() {
    const server = await PrivateRedis.start("--appendonly", "yes", "--appendfsync", "always");
    const proxy = await FaultProxy.start(server.port);
    const nobody = String(await freePort());
    return {
      place: `redis://127.0.0.1:${proxy.port}`,
      direct: server.url,
      troubles: [
        ...troubleOfNetwork(proxy),
        ...troubleOfServer({
          freeze: () => server.freeze(),
          thaw: () => server.thaw(),
          kill: () => server.kill(),
          start: () => server.start(),
        }),
        {
          name: "the server is a replica",
          async begin() {
            await server.ask("REPLICAOF", "127.0.0.1", nobody);
            return () => server.ask("REPLICAOF", "NO", "ONE");
          },
        },
        {
          name: "the server takes no writes for a while",
          async begin() {
            await server.ask("CLIENT", "PAUSE", "3000", "WRITE");
            return () => server.ask("CLIENT", "UNPAUSE");
          },
        },
      ],
      async stop() {
        await proxy.close();
        await server.stop();
      },
    };
  },

  async postgres() {
    const server = await PrivatePostgres.start();
    const proxy = await FaultProxy.start(server.port);
    const direct = server.url();
    return {
      place: direct.replace(`:${server.port}/`, `:${proxy.port}/`),
      direct,
      troubles: [
        ...troubleOfNetwork(proxy),
        ...troubleOfServer({
          freeze: () => server.freeze(),
          thaw: () => server.thaw(),
          kill: () => server.stop("kill"),
          start: () => server.start(),
        }),
        {
          name: "the server is stopped at once",
          async begin() {
            await server.stop("immediate");
            return () => server.start();
          },
        },
        {
          name: "the table is locked",
          async begin() {
            const client = new pg.Client({ connectionString: direct });
            client.on("error", () => undefined);
            await client.connect();
            await client.query(`BEGIN; LOCK TABLE ${TABLE} IN ACCESS EXCLUSIVE MODE`);
            return () => client.end();
          },
        },
        {
          name: "the server is read-only",
          async begin() {
            const readOnly = (value: string) =>
              server.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`, "SELECT pg_reload_conf()");
            await readOnly("on");
            return () => readOnly("off");
          },
        },
      ],
      async stop() {
        await proxy.close();
        await server.stop("kill");
      },
    };
  },

  async mysql() {
    const server = await PrivateMariadb.start();
    const proxy = await FaultProxy.start(server.port);
    await server.query("CREATE USER app", "GRANT ALL ON test.* TO app");
    const direct = server.url("app");
    return {
      place: direct.replace(`:${server.port}/`, `:${proxy.port}/`),
      direct,
      troubles: [
        ...troubleOfNetwork(proxy),
        ...troubleOfServer({
          freeze: () => server.freeze(),
          thaw: () => server.thaw(),
          kill: () => server.stop("kill"),
          start: () => server.start(),
        }),
        {
          name: "the table is locked",
          async begin() {
            const connection = await mysql.createConnection({ uri: server.url() });
            connection.on("error", () => undefined);
            await connection.query(`LOCK TABLES ${TABLE} WRITE`);
            return () => connection.end();
          },
        },
        {
          name: "the server is read-only",
          async begin() {
            await server.query("SET GLOBAL read_only = 1");
            return () => server.query("SET GLOBAL read_only = 0");
          },
        },
      ],
      async stop() {
        await proxy.close();
        await server.stop("kill");
      },
    };
  },
};

interface Server {
  freeze(): void;
  thaw(): void;
  kill(): Promise<unknown>;
  start(): Promise<unknown>;
}

function troubleOfServer(server: Server): Trouble[] {
  return [
    {
      name: "the server is frozen",
      begin() {
        server.freeze();
        return () => server.thaw();
      },
    },
    {
      name: "the server is killed",
      async begin() {
        await server.kill();
        return () => server.start();
      },
    },
  ];
}

function temporaryFolder(): { folder: string; stop(): Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), "sojourn-soak-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.on("exit", remove);
  return { folder, stop: async () => remove() };
}
