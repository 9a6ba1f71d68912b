import { IS_SESSION, RECORD } from "./records.ts";

/** Rows in one batch of a sweep or a mass sign-out: a few milliseconds. */
export const BATCH_SIZE = 500;

/** One more column, and what a change sets it to. */
interface Column {
  name: string;
  created: string;
  updated: string;
}

/** Statements that each dialect writes itself. */
interface OwnStatements {
  /** Inserts a tombstone (`:noteHandle`, …) too. `undefined`: the store writes it before. */
  replaceWithTombstone?: string;
  /** Deletes the record. Only a record unexpired `:now` counts as affected. */
  delete: string;
  /** Runs after a `delete` that affected nothing, if that deletes unexpired records only. */
  deleteExpired?: string;
  /** Counts sessions unexpired `:now`, without notes. */
  countAll: string;
  /** Deletes `:limit` records expired `:now`. May return how many it deleted and examined. */
  prune: string;
}

export type Statements = ReturnType<typeof sharedStatements> & OwnStatements;

/** Builds the statements that all dialects share. Each one is a single round trip. */
export function sharedStatements(table: string, column?: Column) {
  const { name = "", created = "", updated = "" } = column ?? {};
  const content = "version = :version, created_at = :createdAt, touched_at = :touchedAt, expires_at = :expiresAt";
  const set = `${content}, secret_hash = :secretHash, payload = :payload`;
  const setAll = `${set}, user_id = :userId, link = :link${name && `, ${name} = ${created}`}`;
  const ifVersion = "WHERE handle = :handle AND version = :expectedVersion AND expires_at > :now";
  const unexpired = `FROM ${table} WHERE handle = :handle AND expires_at > :now`;
  const list = (condition: string, order: string) => `SELECT ${RECORD}, handle FROM ${table}
    WHERE ${condition} AND expires_at > :now ORDER BY ${order} LIMIT :limit`;
  const newest = (whose: string) =>
    list(`${whose} AND touched_at <= :usedAt AND (touched_at < :usedAt OR handle > :after)`, "touched_at DESC, handle");

  return {
    load: `SELECT ${RECORD} ${unexpired}`,
    insert: `INSERT INTO ${table} (handle, ${RECORD}, write_id${name && `, ${name}`})
      VALUES (:handle, :version, :createdAt, :touchedAt, :expiresAt, :secretHash, :userId, :payload, :link, :writeId${name && `, ${created}`})`,
    /** Overwrites an expired record, and what an earlier attempt of this write stored. */
    replaceExpired: `UPDATE ${table} SET ${setAll}, write_id = :writeId
      WHERE handle = :handle AND (expires_at <= :now OR write_id = :writeId)`,
    update: `UPDATE ${table} SET ${set}, write_id = :writeId${name && `, ${name} = ${updated}`} ${ifVersion}`,
    end: `DELETE FROM ${table} ${ifVersion}`,
    touch: `UPDATE ${table}
      SET touched_at = GREATEST(touched_at, :touchedAt), expires_at = GREATEST(expires_at, :expiresAt)
      WHERE handle = :handle AND expires_at > :now`,
    /** Finds the row that a change left alone. */
    found: `SELECT version, write_id ${unexpired}`,
    /** Renames the row and changes its contents: one row at every instant. */
    replace: `UPDATE ${table} SET handle = :newHandle, ${setAll} ${ifVersion}`,
    isOwn: `SELECT 1 FROM ${table} WHERE handle = :newHandle AND secret_hash = :secretHash`,
    /** In the order of the primary key, because any other would need an index of its own. */
    listAll: list(`handle > :after AND ${IS_SESSION}`, "handle"),
    listUser: newest("user_id = :userId"),
    listLink: newest("link = :link"),
    countUser: `SELECT COUNT(*) FROM ${table} WHERE user_id = :userId AND expires_at > :now`,
    countLink: `SELECT COUNT(*) FROM ${table} WHERE link = :link AND expires_at > :now`,
    /** Finds a user's sessions and two more records, some of them twice. */
    rivals: ["user_id = :userId", "handle IN (:handle, :newHandle)"]
      .map(
        (which) => `SELECT handle, version, touched_at, secret_hash, user_id FROM ${table}
        WHERE ${which} AND expires_at > :now`,
      )
      .join(" UNION ALL "),
  };
}

/** Returns the condition for the sessions of `:userId`, of `:link`, or of everyone. */
export function conditionOf(values: object): string {
  if ("userId" in values) return "user_id = :userId";
  return "link" in values ? "link = :link" : IS_SESSION;
}

/** Replaces each `:name` in a statement by what `mark` returns. */
export function withParameters(text: string, mark: (name: string) => string): string {
  return text.replace(/(?<!:):([a-z]\w*)/gi, (_, name: string) => mark(name));
}
