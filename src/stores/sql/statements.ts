import { IS_SESSION, RECORD } from "./records.ts";

/** Rows in one batch of a sweep or a mass sign-out: a few milliseconds. */
export const BATCH_SIZE = 500;

/** Extra clauses of one dialect. */
interface Clauses {
  /**
   * Ends an insert whose handle may be in use, by assigning `set`. Without it the insert fails, see
   * `isDuplicate`.
   */
  upsert?(set: string): string;
  /**
   * Wraps a change so that it also reports why it changed nothing. The result is one row: how many
   * rows changed, then the `version` and `write_id` of the row in `unexpired`, or `NULL`.
   */
  explain?(change: string, unexpired: string, also?: string): string;
  /** A CTE for `explain` that inserts the tombstone `:noteHandle`, `:noteVersion`, … */
  insertTombstone?: string;
  /** One more column, and what a change sets it to. */
  extra?: { column: string; created: string; updated: string };
  /** Condition and sort key that let an index answer `listAll`. */
  listAll?: { condition: string; order: string };
}

/** Statements that each dialect writes itself. */
interface OwnStatements {
  /** Deletes the record. Only a record unexpired `:now` counts as affected. */
  delete: string;
  /** Runs after a `delete` that affected nothing, if that deletes unexpired records only. */
  deleteExpired?: string;
  /** Counts sessions unexpired `:now`, without notes. */
  countAll: string;
  /**
   * Deletes at most `:limit` records that expired by `:now`. May return a row: how many it deleted
   * and how many it examined.
   */
  prune: string;
}

export type Statements = ReturnType<typeof sharedStatements> & OwnStatements;

/** Builds the statements that all dialects share. Each one is a single round trip. */
export function sharedStatements(table: string, { upsert, explain, insertTombstone, extra, listAll }: Clauses = {}) {
  const content = "version = :version, created_at = :createdAt, touched_at = :touchedAt, expires_at = :expiresAt";
  const set = `${content}, secret_hash = :secretHash, payload = :payload`;
  const setAll = `${set}, user_id = :userId${extra ? `, ${extra.column} = ${extra.created}` : ""}`;
  const ifVersion = "WHERE handle = :handle AND version = :expectedVersion AND expires_at > :now";
  const unexpired = `FROM ${table} WHERE handle = :handle AND expires_at > :now`;
  const change = (text: string, also?: string) => explain?.(text, unexpired, also) ?? text;
  // Renames the row and changes its contents: one row at every instant.
  const replace = `UPDATE ${table} SET handle = :newHandle, ${setAll} ${ifVersion}`;
  const list = (condition: string, order = "") => `SELECT handle, ${RECORD} FROM ${table}
    WHERE ${condition} AND expires_at > :now AND touched_at <= :usedAt AND (touched_at < :usedAt OR handle > :after)
    ORDER BY ${order} touched_at DESC, handle LIMIT :limit`;

  return {
    load: `SELECT ${RECORD} ${unexpired}`,
    /** Overwrites an expired record, and what an earlier attempt of this write stored. */
    insert: `INSERT INTO ${table} (handle, ${RECORD}, write_id${extra ? `, ${extra.column}` : ""})
      VALUES (:handle, :version, :createdAt, :touchedAt, :expiresAt, :secretHash, :userId, :payload, :writeId${extra ? `, ${extra.created}` : ""})
      ${upsert?.(`${setAll}, write_id = :writeId`) ?? ""}`,
    replaceExpired: `UPDATE ${table} SET ${setAll}, write_id = :writeId
      WHERE handle = :handle AND (expires_at <= :now OR write_id = :writeId)`,
    update: change(
      `UPDATE ${table} SET ${set}, write_id = :writeId${extra ? `, ${extra.column} = ${extra.updated}` : ""} ${ifVersion}`,
    ),
    end: change(`DELETE FROM ${table} ${ifVersion}`),
    touch: change(`UPDATE ${table}
      SET touched_at = GREATEST(touched_at, :touchedAt), expires_at = GREATEST(expires_at, :expiresAt)
      WHERE handle = :handle AND expires_at > :now`),
    /** Finds the row that a change left alone. `undefined`: changes report it themselves. */
    found: explain ? undefined : `SELECT version, write_id ${unexpired}`,
    replace: change(replace),
    replaceWithTombstone: insertTombstone && change(replace, insertTombstone),
    isOwn: `SELECT 1 FROM ${table} WHERE handle = :newHandle AND secret_hash = :secretHash`,
    listAll: list(listAll ? `${listAll.condition} AND ${IS_SESSION}` : IS_SESSION, listAll?.order),
    listUser: list("user_id = :userId"),
    countUser: `SELECT COUNT(*) FROM ${table} WHERE user_id = :userId AND expires_at > :now`,
  };
}

/** Replaces each `:name` in a statement by what `mark` returns. */
export function withParameters(text: string, mark: (name: string) => string): string {
  return text.replace(/(?<!:):([a-z]\w*)/gi, (_, name: string) => mark(name));
}
