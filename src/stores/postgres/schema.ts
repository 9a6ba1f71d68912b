import { SojournError } from "../../core/errors.ts";
import { missingTable, versionComment, versionOf } from "../sql/versions.ts";
import type { StoreCapabilities } from "../store.ts";
import { type PostgresClient, type PostgresQuery, raw } from "./client.ts";

/** A step from one version of the schema to the next; they are only ever added. */
export type SchemaStep = (table: string) => readonly string[];

/**
 * Indexed columns stay as they are when a session is touched or changed: PostgreSQL then writes the row alone and leaves
 * every index as it is (a heap-only tuple, for which a tenth of each page is kept free). Hence `sweep_at`, which is never later
 * than `expires_at` and stays behind when that moves on, and `used_period`, the last use in units of 2^20 ms, 17.5 minutes.
 *
 * Text is compared byte by byte, whatever the database's collation takes for the same.
 */
export const steps: readonly SchemaStep[] = [
  (table) => [
    `CREATE TABLE ${table} (
      version bigint NOT NULL,
      created_at bigint NOT NULL,
      touched_at bigint NOT NULL,
      expires_at bigint NOT NULL,
      sweep_at bigint NOT NULL,
      used_period integer NOT NULL GENERATED ALWAYS AS ((touched_at >> 20)::integer) STORED,
      handle text COLLATE "C" PRIMARY KEY,
      secret_hash text COLLATE "C" NOT NULL,
      user_id text COLLATE "C",
      payload text COLLATE "C" NOT NULL
    ) WITH (fillfactor = 90)`,
    `CREATE INDEX ON ${table} (sweep_at)`,
    `CREATE INDEX ON ${table} (used_period)`,
    `CREATE INDEX ON ${table} (user_id) WHERE user_id IS NOT NULL`,
  ],
  // By which a write whose reply was lost is known again, see `writeIds`.
  (table) => [`ALTER TABLE ${table} ADD COLUMN write_id bigint NOT NULL DEFAULT 0`],
];

/** A quoted table name, with its schema where one was given. */
export function qualified(schema: string | undefined, table: string): string {
  return schema === undefined ? `"${table}"` : `"${schema}"."${table}"`;
}

/** What the first look at a server tells. */
export interface Inspection {
  /** Whether the table is there, at the version that this code knows. */
  isPrepared: boolean;
  durable: StoreCapabilities["durable"];
}

/** @throws SojournError where the table can't be used, or is not there and may not be made. */
export async function inspect(client: PostgresClient, table: string, mayCreate: boolean): Promise<Inspection> {
  const settings = ["synchronous_commit", "fsync", "server_encoding"].map((name) => `current_setting('${name}')`);
  const [found, synchronous, fsync, encoding] = await look(client, table, settings);
  const version = versionOf(found, table, steps.length);
  if (version < steps.length && !mayCreate) throw missingTable(table, version, steps.length);
  if (encoding !== "UTF8" && encoding !== "SQL_ASCII") {
    throw new SojournError("STORE_UNAVAILABLE", `The database's encoding is ${encoding}: sessions need UTF8.`);
  }
  return {
    isPrepared: version === steps.length,
    // Without a sync the last commits, up to three times wal_writer_delay, end with the server's process or its machine.
    durable: synchronous === "off" || fsync === "off" ? "process-crash" : "power-loss",
  };
}

/**
 * Brings the table up to date, in one transaction. Any number of processes may start at once: an advisory lock lets one of
 * them do it, and the others find it done. (`IF NOT EXISTS` alone lets two of them collide in the catalogue.)
 */
export async function migrate(client: PostgresClient, table: string, to: readonly SchemaStep[] = steps): Promise<void> {
  const run = (text: string, values: string[] = []) => client.query(statement(text, values));
  await run("BEGIN");
  try {
    // The limits of queries are not meant for building an index, or for waiting until another process has built it.
    await run("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '10s', true)");
    await run("SELECT pg_advisory_xact_lock(hashtext('sojourn'), hashtext($1))", [table]);
    const [found] = await look(client, table, []);
    const from = versionOf(found, table, to.length);
    for (const step of to.slice(from)) for (const text of step(table)) await run(text);
    if (from < to.length) await run(`COMMENT ON TABLE ${table} IS '${versionComment(to.length)}'`);
    await run("COMMIT");
  } catch (error) {
    // If this fails too, the connection is broken, and what counts is why.
    await run("ROLLBACK").catch(() => {});
    throw error;
  }
}

/**
 * The table's comment, `undefined` where there is no such table, and whatever else is asked for.
 *
 * The catalogue is named in FROM, so that the statement locks it: only then does PostgreSQL look up anew whether there is a table, which it
 * may remember otherwise from before it waited for the advisory lock.
 */
async function look(client: PostgresClient, table: string, what: string[]): Promise<(string | undefined)[]> {
  const columns = ["CASE WHEN oid IS NOT NULL THEN COALESCE(obj_description(oid, 'pg_class'), '') END", ...what];
  const text = `SELECT ${columns.join(", ")} FROM (SELECT) one LEFT JOIN pg_class ON oid = to_regclass($1)`;
  const { rows } = await client.query(statement(text, [table]));
  return (rows[0] ?? []).map((value) => (value === null ? undefined : String(value)));
}

/** A statement that is run once, so there is nothing to prepare. */
function statement(text: string, values: string[]): PostgresQuery {
  return { text, values, rowMode: "array", types: raw };
}
