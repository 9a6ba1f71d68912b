import { SojournError } from "../../core/errors.ts";
import { missingTable, versionComment, versionOf } from "../sql/versions.ts";
import type { StoreCapabilities } from "../store.ts";
import type { MysqlConnection } from "./client.ts";
import { rowsOf } from "./rows.ts";
import { statement } from "./statements.ts";

/** A step from one version of the schema to the next; they are only ever added. */
export type SchemaStep = (table: string, comment: string) => readonly string[];

/**
 * Text is kept as bytes, see `bytesOf`. The lengths are those that
 * `checkLengths` lets through, so that no `sql_mode` can have anything cut off. An update changes the entries of no index but those of
 * the times that it moves.
 *
 * A step is one statement, the last one with the comment that makes it count: no transaction spans two of them.
 */
export const steps: readonly SchemaStep[] = [
  (table, comment) => [
    `CREATE TABLE IF NOT EXISTS ${table} (
      handle VARBINARY(255) NOT NULL PRIMARY KEY,
      version BIGINT NOT NULL,
      created_at BIGINT NOT NULL,
      touched_at BIGINT NOT NULL,
      expires_at BIGINT NOT NULL,
      secret_hash VARBINARY(255) NOT NULL,
      user_id VARBINARY(1024),
      payload LONGBLOB NOT NULL,
      KEY by_expiry (expires_at),
      KEY by_use (touched_at DESC, handle),
      KEY by_user (user_id)
    ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='${comment}'`,
  ],
  // By which a write whose reply was lost is known again, see `writeIds`.
  (table, comment) => [`ALTER TABLE ${table} ADD COLUMN write_id BIGINT NOT NULL DEFAULT 0, COMMENT='${comment}'`],
];

/** A quoted table name, with its database where one was given. */
export function qualified(schema: string | undefined, table: string): string {
  return schema === undefined ? `\`${table}\`` : `\`${schema}\`.\`${table}\``;
}

/** A table, and how to name it. */
export interface Place {
  schema: string | undefined;
  name: string;
}

/** What the first look at a server tells. */
export interface Inspection {
  /** Whether the table is there, at the version that this code knows. */
  isPrepared: boolean;
  durable: StoreCapabilities["durable"];
}

/** @throws SojournError where the table can't be used, or is not there and may not be made. */
export async function inspect(connection: MysqlConnection, place: Place, mayCreate: boolean): Promise<Inspection> {
  const version = await foundVersion(connection, place, steps.length);
  if (version < steps.length && !mayCreate) throw missingTable(place.name, version, steps.length);
  const [settings] = await query(connection, "SELECT @@innodb_flush_log_at_trx_commit, @@autocommit", []);
  if (Number(settings?.[1]) === 0) {
    throw new SojournError("STORE_UNAVAILABLE", "The pool's connections have autocommit off: nothing would be saved.");
  }
  return {
    isPrepared: version === steps.length,
    // 2 leaves the log to the operating system for a second, 0 to the server itself.
    durable: Number(settings?.[0]) === 1 ? "power-loss" : "process-crash",
  };
}

/** For how many seconds a process waits while another one makes the table. */
const LOCK_SECONDS = 30;

/**
 * Brings the table up to date. Any number of processes may start at once: a named lock lets one of them do it, and the
 * others find it done.
 */
export async function migrate(
  connection: MysqlConnection,
  place: Place,
  to: readonly SchemaStep[] = steps,
): Promise<void> {
  // Names of locks are the whole server's, and have at most 64 characters. MySQL 9 has no MD5 any more.
  const lock = "CONCAT('sojourn:', LEFT(SHA2(CONCAT(COALESCE(?, DATABASE()), '.', ?), 256), 32))";
  const names = [place.schema ?? null, place.name];
  const [locked] = await query(connection, `SELECT GET_LOCK(${lock}, ${LOCK_SECONDS})`, names);
  if (Number(locked?.[0]) !== 1) {
    throw new SojournError("STORE_UNAVAILABLE", `Another process has been at the table ${place.name} for too long.`);
  }
  try {
    const from = await foundVersion(connection, place, to.length);
    for (const [index, step] of to.entries()) {
      if (index < from) continue;
      const texts = step(qualified(place.schema, place.name), versionComment(index + 1));
      for (const text of texts) await query(connection, text, []);
    }
  } finally {
    await query(connection, `SELECT RELEASE_LOCK(${lock})`, names).catch(() => {});
  }
}

async function foundVersion(connection: MysqlConnection, { schema, name }: Place, known: number): Promise<number> {
  const [row] = await query(
    connection,
    `SELECT table_comment FROM information_schema.tables WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?`,
    [schema ?? null, name],
  );
  return versionOf(row === undefined ? undefined : String(row[0]), name, known);
}

async function query(
  connection: MysqlConnection,
  sql: string,
  values: (string | null)[],
): Promise<(readonly unknown[])[]> {
  const [result] = await connection.execute(statement(sql)(values));
  return rowsOf(result);
}
