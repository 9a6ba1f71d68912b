import { execFileSync } from "node:child_process";
import { join } from "node:path";
import mysql from "mysql2/promise";
import { eventually, findProgram, freePort, PrivateProcess, serverFolder, unprivileged } from "./private-process.ts";

/** The MySQL or MariaDB server that the tests share: `MYSQL_URL`, else the one on this machine. */
export const sharedMysql: { url: string; skip: string | undefined } = await lookForServer();

async function lookForServer(): Promise<{ url: string; skip: string | undefined }> {
  const url = process.env.MYSQL_URL ?? "mysql://root@127.0.0.1:3306/test";
  try {
    const connection = await mysql.createConnection({ uri: url, connectTimeout: 20_000 });
    await connection.end();
    return { url, skip: undefined };
  } catch {
    return { url, skip: "no MySQL or MariaDB server: set MYSQL_URL" };
  }
}

/** Runs statements on a connection of their own and returns the rows of the last one. */
export async function mysqlQuery(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection({ uri: url, connectTimeout: 5_000 });
  try {
    let rows: Record<string, unknown>[] = [];
    for (const text of statements) {
      const [result] = await connection.query<mysql.RowDataPacket[]>(text);
      rows = Array.isArray(result) ? result : [];
    }
    return rows;
  } finally {
    await connection.end();
  }
}

export async function dropMysqlTables(url: string, ...names: string[]): Promise<void> {
  await mysqlQuery(url, ...names.map((name) => `DROP TABLE IF EXISTS ${quoted(name)}`));
}

function quoted(name: string): string {
  return name
    .split(".")
    .map((part) => `\`${part}\``)
    .join(".");
}

/** Until this many statements on the table wait for a lock. The view is as old as the last look at it, if that was within 0.1 s. */
export async function mysqlLockWaits(url: string, table: string, expected: number): Promise<void> {
  const statement = `SELECT 1 FROM information_schema.innodb_trx
    WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%\`${table}\`%'`;
  await eventually(
    `${expected} waiting for a lock`,
    async () => {
      const waiting = await mysqlQuery(url, statement);
      if (waiting.length !== expected) throw new Error(`${waiting.length} waiting`);
    },
    150,
  );
}

const programs = { install: findProgram("mariadb-install-db"), server: findProgram("mariadbd") };

/** Why a private server can't be started; `undefined` where it can. */
export const noPrivateMariadb =
  programs.install === undefined || programs.server === undefined
    ? "mariadbd and mariadb-install-db are not in the PATH"
    : undefined;

/** A MariaDB server that a test may do anything to. Its superuser is `root`, without a password; its database `test`. */
export class PrivateMariadb {
  readonly port: number;
  readonly folder: string;
  #process: PrivateProcess | undefined;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.folder = folder;
  }

  static async start(): Promise<PrivateMariadb> {
    if (programs.install === undefined) throw new Error(noPrivateMariadb);
    const folder = serverFolder("mariadb");
    execFileSync(
      programs.install,
      [
        "--no-defaults",
        `--datadir=${join(folder, "data")}`,
        "--auth-root-authentication-method=normal",
        "--skip-log-bin",
        "--skip-test-db",
      ],
      { ...unprivileged, cwd: folder, stdio: "ignore", env: { PATH: process.env.PATH } },
    );
    const server = new PrivateMariadb(await freePort(), folder);
    await server.start();
    await mysqlQuery(server.url("root", "mysql"), "CREATE DATABASE IF NOT EXISTS test");
    return server;
  }

  url(user = "root", database = "test"): string {
    return `mysql://${user}@127.0.0.1:${this.port}/${database}`;
  }

  /** Starts it, again if need be. */
  async start(...settings: string[]): Promise<void> {
    const args = [
      "--no-defaults",
      `--datadir=${join(this.folder, "data")}`,
      `--socket=${join(this.folder, "socket")}`,
      `--pid-file=${join(this.folder, "pid")}`,
      "--bind-address=127.0.0.1",
      `--port=${this.port}`,
      "--innodb-buffer-pool-size=16M",
      "--innodb-log-file-size=8M",
      "--skip-name-resolve",
      ...settings,
    ];
    await eventually("the start of MariaDB", async () => {
      if (this.#process?.isRunning !== true) {
        this.#process = new PrivateProcess(programs.server ?? "", args, this.folder);
      }
      try {
        await mysqlQuery(this.url("root", "mysql"), "SELECT 1");
      } catch (error) {
        throw new Error(this.#process.output, { cause: error });
      }
    });
  }

  query(...statements: string[]): Promise<Record<string, unknown>[]> {
    return mysqlQuery(this.url(), ...statements);
  }

  /** The end of what it wrote. */
  get log(): string {
    return this.#process?.output ?? "";
  }

  freeze(): void {
    this.#process?.freeze();
  }

  thaw(): void {
    this.#process?.thaw();
  }

  async stop(how: "orderly" | "kill" = "orderly"): Promise<void> {
    await this.#process?.end(how === "kill" ? "SIGKILL" : "SIGTERM");
  }
}
