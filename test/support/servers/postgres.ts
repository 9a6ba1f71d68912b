import { execFileSync } from "node:child_process";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { eventually, findProgram, freePort, PrivateProcess, serverFolder, unprivileged } from "./private-process.ts";

/** The PostgreSQL server that the tests share: `DATABASE_URL`, else the one on this machine. */
export const sharedPostgres: { url: string; skip: string | undefined } = await lookForServer();

async function lookForServer(): Promise<{ url: string; skip: string | undefined }> {
  const url = process.env.DATABASE_URL ?? "postgres://root@localhost:5432/test";
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 20_000 });
  try {
    await client.connect();
    return { url, skip: undefined };
  } catch {
    return { url, skip: "no PostgreSQL server: set DATABASE_URL" };
  } finally {
    await client.end();
  }
}

/** Runs statements on a connection of their own and returns the rows of the last one. */
export async function postgresQuery(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const text of statements) ({ rows } = await client.query<Record<string, unknown>>(text));
    return rows;
  } finally {
    await client.end();
  }
}

export async function dropTables(url: string, ...names: string[]): Promise<void> {
  await postgresQuery(url, ...names.map((name) => `DROP TABLE IF EXISTS ${quoted(name)}`));
}

function quoted(name: string): string {
  return name
    .split(".")
    .map((part) => `"${part}"`)
    .join(".");
}

const programs = { initdb: findProgram("initdb"), postgres: findProgram("postgres") };

/** Why a private server can't be started; `undefined` where it can. */
export const noPrivatePostgres =
  programs.initdb === undefined || programs.postgres === undefined
    ? "initdb and postgres are not in the PATH"
    : undefined;

/** A PostgreSQL server that a test may do anything to. Trusts everyone on 127.0.0.1; its superuser is `root`, its database `postgres`. */
export class PrivatePostgres {
  readonly port: number;
  readonly folder: string;
  #process: PrivateProcess | undefined;
  #settings: Readonly<Record<string, string>>;

  private constructor(port: number, folder: string, settings: Readonly<Record<string, string>>) {
    this.port = port;
    this.folder = folder;
    this.#settings = settings;
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<PrivatePostgres> {
    if (programs.initdb === undefined) throw new Error(noPrivatePostgres);
    const folder = serverFolder("postgres");
    execFileSync(
      programs.initdb,
      ["-D", folder, "-U", "root", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
      { ...unprivileged, cwd: folder, stdio: "ignore" },
    );
    const server = new PrivatePostgres(await freePort(), folder, settings);
    await server.start();
    return server;
  }

  url(user = "root", database = "postgres"): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}`;
  }

  /** Starts it, again if need be; what an earlier one left behind is let go first. */
  async start(settings: Readonly<Record<string, string>> = this.#settings): Promise<void> {
    this.#settings = settings;
    const all: Record<string, string> = {
      listen_addresses: "127.0.0.1",
      port: String(this.port),
      unix_socket_directories: "",
      shared_buffers: "16MB",
      ...settings,
    };
    const args = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    await eventually("the start of PostgreSQL", async () => {
      if (this.#process?.isRunning !== true) {
        this.#process = new PrivateProcess(programs.postgres ?? "", ["-D", this.folder, ...args], this.folder);
      }
      try {
        await postgresQuery(this.url(), "SELECT 1");
      } catch (error) {
        throw new Error(this.#process.output, { cause: error });
      }
    });
  }

  /** The end of what it wrote. */
  get log(): string {
    return this.#process?.output ?? "";
  }

  query(...statements: string[]): Promise<Record<string, unknown>[]> {
    return postgresQuery(this.url(), ...statements);
  }

  freeze(): void {
    this.#process?.freeze();
  }

  thaw(): void {
    this.#process?.thaw();
  }

  /** `"fast"` ends every connection, `"immediate"` leaves the recovery to the next start, `"kill"` is `kill -9`. */
  async stop(how: "fast" | "immediate" | "kill" = "fast"): Promise<void> {
    await this.#process?.end(({ fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const)[how]);
  }

  /** Writes a file that the server can read, into its folder. */
  writeFile(name: string, content: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    if ("uid" in unprivileged) chownSync(path, unprivileged.uid, unprivileged.gid);
    return path;
  }
}
