import { checkedName } from "../sql/records.ts";
import { newerSchema } from "../sql/schema.ts";
import { type SqliteDatabase, valuesOf } from "./database.ts";

/** Returns the SQL that leads from one schema version to the next. New steps are appended. */
export type SchemaStep = (table: string) => string;

/**
 * `sweep_at` is when a sweep next examines a record. It is never later than `expires_at`, and stays
 * behind when that moves on. So a touch leaves the index alone, which halves its cost. The table
 * has row IDs, because without them filling and sweeping are slower.
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
  (table) => `
    ALTER TABLE "${table}" ADD COLUMN link TEXT;
    CREATE INDEX "${table}_link" ON "${table}" (link) WHERE link IS NOT NULL;
  `,
];

/** @throws TypeError for a name that would need escaping, or that SQLite reserves */
export function checkedTable(table: string): string {
  if (!/^sqlite_/i.test(checkedName(table, "SqliteStore: table"))) return table;
  throw new TypeError("SqliteStore: table must not begin with sqlite_");
}

/**
 * Brings the schema up to date, in one transaction. Other processes may do so at the same time. A
 * table of its own holds the version, because `user_version` belongs to the application.
 *
 * @throws SojournError `STORE_UNAVAILABLE` if a newer version of the library has migrated the table
 */
export function migrate(database: SqliteDatabase, table: string, to: readonly SchemaStep[] = steps): void {
  if (versionOf(database, table) === to.length) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    const from = versionOf(database, table);
    if (from > to.length) throw newerSchema(table, from, to.length);
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

/** Returns 0 if there is no table. */
function versionOf(database: SqliteDatabase, table: string): number {
  const known = database.prepare("SELECT 1 AS known FROM sqlite_master WHERE type = 'table' AND name = ?");
  if (known.get(`${table}_schema`) === undefined) return 0;
  return Number(valuesOf(database.prepare(`SELECT version FROM "${table}_schema"`).get())[0] ?? 0);
}

/** Ends a failed transaction. SQLite reports an error if the failure has ended it already. */
export function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("ROLLBACK");
  } catch {}
}
