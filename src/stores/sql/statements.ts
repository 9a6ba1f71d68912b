import type { Fragments } from "./dialect.ts";
import { IS_SESSION } from "./notes.ts";

/** The columns of a record, in the order in which `recordOf` reads them. */
export const RECORD = "version, created_at, touched_at, expires_at, secret_hash, user_id, payload";

/** The statements that all databases have, on one table. Each is one round trip; what varies is bound. */
export function statements(table: string, fragments: Fragments) {
  const { extra, reached = "", order = "" } = fragments;
  const content = "version = :version, created_at = :createdAt, touched_at = :touchedAt, expires_at = :expiresAt";
  const set = `${content}, secret_hash = :secretHash, payload = :payload`;
  const anew = `${set}, user_id = :userId${extra ? `, ${extra.column} = ${extra.created}` : ""}`;
  const comparing = "WHERE handle = :handle AND version = :expectedVersion AND expires_at > :now";
  const unexpired = `FROM ${table} WHERE handle = :handle AND expires_at > :now`;
  const changing = (text: string, also?: string) => fragments.explained?.(text, unexpired, also) ?? text;

  /** The row gets another name and other contents: one row at every instant. */
  const replace = `UPDATE ${table} SET handle = :newHandle, ${anew} ${comparing}`;

  /** Newest use first. */
  const listing = (whose: string) => `SELECT handle, ${RECORD} FROM ${table}
    WHERE ${whose} AND expires_at > :now AND touched_at <= :usedAt AND (touched_at < :usedAt OR handle > :after)
    ORDER BY ${order} touched_at DESC, handle LIMIT :limit`;

  return {
    load: `SELECT ${RECORD} ${unexpired}`,

    /** An expired record that nobody has pruned yet is no obstacle, nor is what an earlier try has stored; any other is left as it is. */
    insert: `INSERT INTO ${table} (handle, ${RECORD}, write_id${extra ? `, ${extra.column}` : ""})
      VALUES (:handle, :version, :createdAt, :touchedAt, :expiresAt, :secretHash, :userId, :payload, :writeId${extra ? `, ${extra.created}` : ""})
      ${fragments.orReplaceExpired?.(table, `${anew}, write_id = :writeId`) ?? ""}`,
    replaceExpired: `UPDATE ${table} SET ${anew}, write_id = :writeId
      WHERE handle = :handle AND (expires_at <= :now OR write_id = :writeId)`,

    update: changing(
      `UPDATE ${table} SET ${set}, write_id = :writeId${extra ? `, ${extra.column} = ${extra.updated}` : ""} ${comparing}`,
    ),
    end: changing(`DELETE FROM ${table} ${comparing}`),
    touch: changing(`UPDATE ${table}
      SET touched_at = GREATEST(touched_at, :touchedAt), expires_at = GREATEST(expires_at, :expiresAt)
      WHERE handle = :handle AND expires_at > :now`),
    /** What kept a change from being made; by its last write, whether it is the one that an earlier try has made. */
    found: `SELECT version, write_id ${unexpired}`,

    replace: changing(replace),
    replaceAndNote: fragments.noted && changing(replace, fragments.noted(table)),
    isOwn: `SELECT 1 FROM ${table} WHERE handle = :newHandle AND secret_hash = :secretHash`,

    listAll: listing(`${reached} ${IS_SESSION}`),
    listUser: listing("user_id = :userId"),
    countUser: `SELECT COUNT(*) FROM ${table} WHERE user_id = :userId AND expires_at > :now`,
  };
}
