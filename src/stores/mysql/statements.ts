import { IS_NOTE, IS_SESSION } from "../sql/notes.ts";
import type { MysqlQuery } from "./client.ts";
import { RECORD } from "./rows.ts";

type Value = MysqlQuery["values"][number];

/** Every statement on one table. They are prepared once for each connection; what varies is bound, except for limits. */
export function statements(table: string) {
  const listing = (whose: string) => (limit: number) =>
    statement(`SELECT handle, ${RECORD} FROM ${table}
      WHERE ${whose} expires_at > ? AND touched_at <= ? AND (touched_at < ? OR handle > ?)
      ORDER BY touched_at DESC, handle LIMIT ${limit}`);
  const comparing = "WHERE handle = ? AND version = ? AND expires_at > ?";

  return {
    load: statement(`SELECT ${RECORD} FROM ${table} WHERE handle = ? AND expires_at > ?`),

    insert: statement(`INSERT INTO ${table}
      (handle, version, created_at, touched_at, expires_at, secret_hash, user_id, payload, write_id)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    /** An expired record that nobody has pruned yet is no obstacle, nor is what an earlier try has stored. */
    replaceExpired: statement(`UPDATE ${table} SET version = ?, created_at = ?, touched_at = ?, expires_at = ?,
      secret_hash = ?, user_id = ?, payload = ?, write_id = ? WHERE handle = ? AND (expires_at <= ? OR write_id = ?)`),

    update: statement(`UPDATE ${table} SET version = ?, created_at = ?, touched_at = ?, expires_at = ?, secret_hash = ?,
      payload = ?, write_id = ? ${comparing}`),
    /** The row gets another name and other contents: one row at every instant. */
    replace: statement(`UPDATE ${table} SET handle = ?, version = ?, created_at = ?, touched_at = ?, expires_at = ?,
      secret_hash = ?, user_id = ?, payload = ? ${comparing}`),
    end: statement(`DELETE FROM ${table} ${comparing}`),
    /** What kept a change from being made; whether it is the one that an earlier try has made. */
    found: statement(`SELECT write_id FROM ${table} WHERE handle = ? AND expires_at > ?`),
    isOwn: statement(`SELECT 1 FROM ${table} WHERE handle = ? AND secret_hash = ?`),

    touch: statement(`UPDATE ${table} SET touched_at = GREATEST(touched_at, ?), expires_at = GREATEST(expires_at, ?)
      WHERE handle = ? AND expires_at > ?`),

    delete: statement(`DELETE FROM ${table} WHERE handle = ? AND expires_at > ?`),
    /** What had expired by this process's clock may be alive by another's. */
    deleteExpired: statement(`DELETE FROM ${table} WHERE handle = ?`),

    listAll: listing(`${IS_SESSION} AND`),
    listUser: listing("user_id = ? AND"),
    countAll: statement(`SELECT (SELECT COUNT(*) FROM ${table} WHERE expires_at > ?) -
      (SELECT COUNT(*) FROM ${table} WHERE ${IS_NOTE} AND expires_at > ?)`),
    countUser: statement(`SELECT COUNT(*) FROM ${table} WHERE user_id = ? AND expires_at > ?`),

    deleteSome: (ofUser: boolean, unexpired: boolean, limit: number) =>
      statement(`DELETE FROM ${table} WHERE ${ofUser ? "user_id = ?" : IS_SESSION} AND expires_at ${unexpired ? ">" : "<="} ?
        AND NOT (handle <=> ?) ORDER BY handle LIMIT ${limit}`),

    /** Where the next so many end. */
    boundary: (limit: number) =>
      statement(`SELECT handle FROM ${table} WHERE handle > ? ORDER BY handle LIMIT 1 OFFSET ${limit - 1}`),
    deleteRange: (unexpired: boolean) =>
      statement(`DELETE FROM ${table} WHERE handle > ? AND handle <= ? AND expires_at ${unexpired ? ">" : "<="} ?
        AND ${IS_SESSION} AND NOT (handle <=> ?)`),

    /** Reads what it removes as it is at that moment, so a touch that came first keeps its session. */
    prune: (limit: number) =>
      statement(`DELETE FROM ${table} WHERE expires_at <= ? ORDER BY expires_at, handle LIMIT ${limit}`),
  };
}

/** Instead of a function that the application gave its pool; `true` would not be. */
const typeCast = (_field: unknown, next: () => unknown): unknown => next();

/** A statement that waits for its values. */
export function statement(sql: string): (values: Value[]) => MysqlQuery {
  return (values) => ({
    sql,
    values,
    rowsAsArray: true,
    nestTables: false,
    namedPlaceholders: false,
    typeCast,
    supportBigNumbers: false,
    bigNumberStrings: false,
  });
}
