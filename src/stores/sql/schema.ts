import { SojournError } from "../../contract/errors.ts";
import type { SqlConnection, SqlDialect, Table } from "./dialect.ts";

/** The part of a dialect that works on the schema. */
type Schema<C extends SqlConnection> = Pick<SqlDialect<never, C>, "query" | "steps" | "inspect" | "withMigrationLock">;

/**
 * Checks the table's schema version.
 *
 * @returns whether the table is ready to use, and what a commit survives
 * @throws SojournError `STORE_UNAVAILABLE` when the table can't be used, or may not be created
 */
export async function checkSchema<C extends SqlConnection>(
  { inspect, steps }: Schema<C>,
  connection: C,
  table: Table,
  mayCreate: boolean,
) {
  const { comment, durable } = await inspect(connection, table);
  const version = versionOf(comment, table.quoted, steps.length);
  const isPrepared = version === steps.length;
  if (isPrepared || mayCreate) return { isPrepared, durable };
  const state = version === 0 ? "is missing" : `has schema ${version}`;
  throw unusable(
    table.quoted,
    `${state} and createTable is false: bring it to schema ${steps.length} as docs/guides/postgresql.md or docs/guides/mysql.md shows`,
  );
}

/** Brings the table up to date. One process migrates, and others that start now wait. */
export async function migrate<C extends SqlConnection>(
  { query, inspect, withMigrationLock, steps }: Schema<C>,
  connection: C,
  table: Table,
): Promise<void> {
  await withMigrationLock(connection, table, async () => {
    const { comment } = await inspect(connection, table);
    const from = versionOf(comment, table.quoted, steps.length);
    for (const [index, step] of steps.entries()) {
      if (index < from) continue;
      for (const text of step(table.quoted, versionComment(index + 1))) await query(connection, text);
    }
  });
}

/**
 * The table's comment holds the schema version. So the version needs no name of its own, which
 * could be too long or in use, and it appears and disappears with the table in one statement.
 */
function versionComment(version: number): string {
  return `Sojourn sessions, schema ${version}`;
}

/** Reads a table's version: 0 if there is no table. `known` is the newest version of this code. */
function versionOf(comment: string | undefined, table: string, known: number): number {
  if (comment === undefined) return 0;
  const version = Number(/^Sojourn sessions, schema ([1-9]\d{0,8})$/.exec(comment)?.[1]);
  if (version <= known) return version;
  if (!Number.isNaN(version)) throw newerSchema(table, version, known);
  throw unusable(table, `is not a table of sojourn, or has lost its comment, "${versionComment(known)}"`);
}

/** The error for a table that a newer version of the library has migrated. */
export function newerSchema(table: string, found: number, known: number): SojournError {
  return unusable(table, `has schema ${found}, and this version of sojourn knows ${known}: use a newer one`);
}

function unusable(table: string, why: string): SojournError {
  return new SojournError("STORE_UNAVAILABLE", `The table ${table} ${why}.`);
}
