import { SojournError } from "../../contract/errors.ts";
import { type SqliteDatabase, valuesOf } from "./database.ts";

/** A step from one version of the schema to the next; they are only ever added. */
export type SchemaStep = (table: string) => string;

/**
 * `sweep_at` says when to look whether a record has expired. It is never later than `expires_at`, and stays behind
 * when that moves on: a touch then leaves the index alone, which is half of its cost. The sweep puts right what
 * it meets. The table has row numbers, since without them filling and sweeping are slower.
 */
export const steps: readonly SchemaStep[] = [
  (table) => `
    CREATE TABLE "${table}" (
      handle TEXT NOT NULL PRIMARY KEY,
      payload TEXT NOT NULL,
      version INTEGER NOT NULL,
      secret_hash TEXT NOT NULL,
      user_id TEXT,
      created_at INTEGER NOT NULL,
      touched_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      sweep_at INTEGER NOT NULL
    );
    CREATE INDEX "${table}_sweep" ON "${table}" (sweep_at);
    CREATE INDEX "${table}_user" ON "${table}" (user_id) WHERE user_id IS NOT NULL;
  `,
];

/** @throws TypeError for a name that would have to be quoted, or that SQLite keeps for itself. */
export function checkedTable(table: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(table) || /^sqlite_/i.test(table)) {
    throw new TypeError(
      "SqliteStore: table must be a letter or _ followed by at most 62 letters, digits or _, and must not begin with sqlite_",
    );
  }
  return table;
}

/**
 * Brings the schema up to date, in one transaction; another process may do the same at the same time. The version
 * is kept in a table of its own: `user_version` belongs to the application whose database this may be.
 *
 * @throws SojournError `STORE_UNAVAILABLE` where a newer version of this library has been at work.
 */
export function migrate(database: SqliteDatabase, table: string, to: readonly SchemaStep[] = steps): void {
  if (versionOf(database, table) === to.length) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    const from = versionOf(database, table);
    if (from > to.length) {
      throw new SojournError(
        "STORE_UNAVAILABLE",
        `The table ${table} has schema ${from}, and this version of sojourn knows ${to.length}: use a newer one.`,
      );
    }
    for (const step of to.slice(from)) database.exec(step(table));
    database.exec(`
      CREATE TABLE IF NOT EXISTS "${table}_schema" (version INTEGER NOT NULL);
      DELETE FROM "${table}_schema";
      INSERT INTO "${table}_schema" VALUES (${to.length});
    `);
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** 0 before there is a table. */
function versionOf(database: SqliteDatabase, table: string): number {
  const known = database.prepare("SELECT 1 AS known FROM sqlite_master WHERE type = 'table' AND name = ?");
  if (known.get(`${table}_schema`) === undefined) return 0;
  return Number(valuesOf(database.prepare(`SELECT version FROM "${table}_schema"`).get())[0] ?? 0);
}

/** Some failures have rolled back already; then there is nothing to do, and SQLite says so by an error. */
export function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("ROLLBACK");
  } catch {}
}
