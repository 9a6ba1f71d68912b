import { IS_NOTE, IS_SESSION } from "../sql/notes.ts";
import { type PostgresQuery, raw } from "./client.ts";
import { RECORD } from "./rows.ts";

type Value = PostgresQuery["values"][number];

/** Every statement on one table. Each is one round trip; what varies is bound. */
export function statements(table: string, prepare: boolean) {
  /**
   * Whether an update is done, by this try or by an earlier one; else why not: the row's version, none where there is no unexpired
   * one.
   */
  const comparing = (change: string, isDone: string, also = "") => `
    WITH changed AS (${change} WHERE handle = $1 AND version = $2 AND expires_at > $3 RETURNING 1),${also}
    found AS (SELECT version, write_id FROM ${table}
      WHERE NOT EXISTS (SELECT FROM changed) AND handle = $1 AND expires_at > $3)
    SELECT EXISTS (SELECT FROM changed) OR EXISTS (SELECT FROM found WHERE ${isDone}), (SELECT version FROM found)`;

  /** Newest use first. Within a period the last uses are sorted, so a page costs the periods that it reaches into. */
  const listing = (whose: string) => `
    SELECT handle, ${RECORD} FROM ${table}
    WHERE ${whose} AND expires_at > $1 AND (touched_at < $3 OR (touched_at = $3 AND handle > $4))
    ORDER BY used_period DESC, touched_at DESC, handle LIMIT $5`;

  /**
   * In the order of handles, so that two that run at once can't wait for each other. One that was replaced while its row was waited for is
   * doomed by its new handle, and not removed, because the statement began before that was there: the next one finds it.
   */
  const deleting = (whose: string) => `
    WITH doomed AS MATERIALIZED (
      SELECT handle FROM ${table} WHERE ${whose} AND handle > $2 AND handle IS DISTINCT FROM $3
      ORDER BY handle LIMIT $4 FOR UPDATE),
    removed AS (DELETE FROM ${table} t USING doomed WHERE t.handle = doomed.handle RETURNING t.expires_at)
    SELECT (SELECT count(*) FROM doomed), (SELECT count(*) FROM removed WHERE expires_at > $1),
      (SELECT handle FROM doomed ORDER BY handle DESC LIMIT 1), (SELECT count(*) FROM removed)`;

  const replacing = (also = "") => `${comparing(
    `UPDATE ${table} SET handle = $4, version = $5, created_at = $6, touched_at = $7, expires_at = $8,
        sweep_at = $8, secret_hash = $9, user_id = $10, payload = $11`,
    "false",
    also,
  )},
      EXISTS (SELECT FROM ${table} WHERE handle = $4 AND secret_hash = $9)`;

  const columns = "handle, version, created_at, touched_at, expires_at, sweep_at, secret_hash, user_id, payload";

  const define = (name: string, text: string) => query(name, text, prepare);
  return {
    load: define("load", `SELECT ${RECORD} FROM ${table} WHERE handle = $1 AND expires_at > $2`),

    /** An expired record that nobody has pruned yet is no obstacle, nor is what an earlier try has stored; any other is left as it is. */
    create: define(
      "create",
      `INSERT INTO ${table} AS old
        (handle, version, created_at, touched_at, expires_at, sweep_at, secret_hash, user_id, payload, write_id)
      VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $10)
      ON CONFLICT (handle) DO UPDATE SET version = $2, created_at = $3, touched_at = $4, expires_at = $5, sweep_at = $5,
        secret_hash = $6, user_id = $7, payload = $8, write_id = $10
      WHERE old.expires_at <= $9 OR old.write_id = $10 RETURNING 1`,
    ),

    update: define(
      "update",
      comparing(
        `UPDATE ${table} SET version = $4, created_at = $5, touched_at = $6, expires_at = $7,
        sweep_at = LEAST(sweep_at, $7), secret_hash = $8, payload = $9, write_id = $10`,
        "write_id = $10",
      ),
    ),

    end: define("end", comparing(`DELETE FROM ${table}`, "false")),

    /**
     * The row gets another name and other contents: one row at every instant. Where it is not to be found, its new name may already be
     * there, with the new secret's hash: done by this call before, whose reply was lost.
     */
    replace: define("replace", replacing()),
    replaceAndNote: define(
      "replace-and-note",
      replacing(`
    noted AS (INSERT INTO ${table} AS old (${columns})
      SELECT $12, $13::bigint, $14::bigint, $15::bigint, $16::bigint, $16::bigint, $17, $18, $19 FROM changed
      ON CONFLICT (handle) DO UPDATE SET version = excluded.version, created_at = excluded.created_at,
        touched_at = excluded.touched_at, expires_at = excluded.expires_at, sweep_at = excluded.sweep_at,
        secret_hash = excluded.secret_hash, user_id = excluded.user_id, payload = excluded.payload),`),
    ),

    touch: define(
      "touch",
      `UPDATE ${table} SET touched_at = GREATEST(touched_at, $2), expires_at = GREATEST(expires_at, $3)
      WHERE handle = $1 AND expires_at > $4 RETURNING 1`,
    ),

    delete: define("delete", `DELETE FROM ${table} WHERE handle = $1 RETURNING expires_at > $2`),

    listAll: define("list-all", listing(`used_period <= $2 AND ${IS_SESSION}`)),
    listUser: define("list-user", listing("user_id = $2")),

    /** What is not due for a look is unexpired, as an index alone tells; the few others are looked at. */
    countAll: define(
      "count-all",
      `SELECT (SELECT count(*) FROM ${table} WHERE sweep_at > $1) +
        (SELECT count(*) FROM ${table} WHERE sweep_at <= $1 AND expires_at > $1) -
        (SELECT count(*) FROM ${table} WHERE ${IS_NOTE} AND expires_at > $1)`,
    ),
    countUser: define("count-user", `SELECT count(*) FROM ${table} WHERE user_id = $2 AND expires_at > $1`),

    deleteAll: define("delete-all", deleting(IS_SESSION)),
    deleteUser: define("delete-user", deleting("user_id = $5")),

    /**
     * Looks at what is due to be looked at: removes it if it expired, else notes when to look again. Rows that someone else has locked, a
     * touch or another sweep, are left to them; the others are locked first, and what is locked is their newest state.
     */
    prune: define(
      "prune",
      `WITH due AS MATERIALIZED (
        SELECT handle, expires_at FROM ${table} WHERE sweep_at <= $1 ORDER BY sweep_at LIMIT $2 FOR UPDATE SKIP LOCKED),
      moved AS (
        UPDATE ${table} t SET sweep_at = t.expires_at FROM due WHERE t.handle = due.handle AND due.expires_at > $1),
      removed AS (
        DELETE FROM ${table} t USING due WHERE t.handle = due.handle AND due.expires_at <= $1 AND t.expires_at <= $1
        RETURNING 1)
      SELECT (SELECT count(*) FROM removed), (SELECT count(*) FROM due)`,
    ),
  };
}

/** A statement that waits for its values. */
function query(name: string, text: string, prepare: boolean): (values: Value[]) => PostgresQuery {
  const prepared = prepare ? { name: `sojourn-${name}-${digest(text)}` } : {};
  return (values) => ({ ...prepared, text, values, rowMode: "array", types: raw });
}

/** FNV-1a: stores of different tables on one connection must not give different statements one name. */
function digest(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16);
}
