import { SojournError } from "../../core/errors.ts";

/**
 * The version of the schema is kept in the comment of the table. So it needs no name of its own, which could be too long or taken,
 * and comes and goes with the table in the same statement.
 */
export function versionComment(version: number): string {
  return `Sojourn sessions, schema ${version}`;
}

/**
 * @param comment the table's; `undefined` where there is no such table
 * @param known the newest version that this code knows
 * @returns the table's version, 0 before there is one
 * @throws SojournError `STORE_UNAVAILABLE` where the table is someone else's, or a newer version's
 */
export function versionOf(comment: string | undefined, table: string, known: number): number {
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
export function missingTable(table: string, found: number, needed: number): SojournError {
  const state = found === 0 ? "is missing" : `has schema ${found}`;
  return new SojournError(
    "STORE_UNAVAILABLE",
    `The table ${table} ${state} and createTable is false: bring it to schema ${needed} as docs/STORES.md shows.`,
  );
}
