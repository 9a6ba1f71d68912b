import { SojournError } from "../../contract/errors.ts";
import type { SqlConnection, SqlDialect, Table } from "./dialect.ts";

/** What a dialect's schema is worked on with. */
type Schema<C extends SqlConnection> = Pick<SqlDialect<never, C>, "ask" | "steps" | "look" | "exclusively">;

/**
 * @returns whether the table is there, at the version that this code knows; and what a commit survives
 * @throws SojournError where the table can't be used, or is not there and may not be made.
 */
export async function inspect<C extends SqlConnection>(
  { look, steps }: Schema<C>,
  connection: C,
  table: Table,
  mayCreate: boolean,
) {
  const { comment, durable } = await look(connection, table);
  const version = versionOf(comment, table.quoted, steps.length);
  if (version < steps.length && !mayCreate) throw missingTable(table.quoted, version, steps.length);
  return { isPrepared: version === steps.length, durable };
}

/** Brings the table up to date. Any number of processes may start at once: one of them does it, and the others find it done. */
export async function migrate<C extends SqlConnection>(
  { ask, look, exclusively, steps }: Schema<C>,
  connection: C,
  table: Table,
): Promise<void> {
  await exclusively(connection, table, async () => {
    const { comment } = await look(connection, table);
    const from = versionOf(comment, table.quoted, steps.length);
    for (const [index, step] of steps.entries()) {
      if (index < from) continue;
      for (const text of step(table.quoted, versionComment(index + 1))) await ask(connection, text);
    }
  });
}

/**
 * The version of the schema is kept in the comment of the table. So it needs no name of its own, which could be too long or taken,
 * and comes and goes with the table in the same statement.
 */
function versionComment(version: number): string {
  return `Sojourn sessions, schema ${version}`;
}

/**
 * @param comment the table's; `undefined` where there is no such table
 * @param known the newest version that this code knows
 * @returns the table's version, 0 before there is one
 * @throws SojournError `STORE_UNAVAILABLE` where the table is someone else's, or a newer version's
 */
function versionOf(comment: string | undefined, table: string, known: number): number {
  if (comment === undefined) return 0;
  const version = Number(/^Sojourn sessions, schema ([1-9]\d{0,8})$/.exec(comment)?.[1]);
  if (Number.isNaN(version)) {
    throw new SojournError(
      "STORE_UNAVAILABLE",
      `The table ${table} is not a table of sojourn, or has lost its comment, "${versionComment(known)}".`,
    );
  }
  if (version > known) {
    throw new SojournError(
      "STORE_UNAVAILABLE",
      `The table ${table} has schema ${version}, and this version of sojourn knows ${known}: use a newer one.`,
    );
  }
  return version;
}

/** @throws SojournError where the application said that it makes the table itself. */
function missingTable(table: string, found: number, needed: number): SojournError {
  const state = found === 0 ? "is missing" : `has schema ${found}`;
  return new SojournError(
    "STORE_UNAVAILABLE",
    `The table ${table} ${state} and createTable is false: bring it to schema ${needed} as docs/STORES.md shows.`,
  );
}
