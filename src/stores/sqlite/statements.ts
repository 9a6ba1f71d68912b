import { toUSVString } from "node:util";
import { SojournError } from "../../contract/errors.ts";
import type { SessionQuery, SessionRecord } from "../../contract/store.ts";
import { checkedQuery } from "../query.ts";
import { IS_NOTE, IS_SESSION, RECORD } from "../sql/records.ts";
import { type SqliteDatabase, type SqliteValue, withArrays } from "./database.ts";

export type SqliteStatements = ReturnType<typeof prepareStatements>;

/** Prepares all statements once. Those that write run inside a transaction of `WriteQueue`. */
export function prepareStatements(database: SqliteDatabase, tableName: string) {
  const table = `"${tableName}"`;
  // SQLite rewrites an index entry whenever its column is assigned. So the usual update leaves
  // `sweep_at` alone, and the other one runs if the record expires sooner than before.
  const update = `UPDATE ${table}
    SET version = ?, created_at = ?, touched_at = ?, expires_at = ?, secret_hash = ?, payload = ?`;
  const ifVersion = "WHERE handle = ? AND version = ? AND expires_at > ?";
  const batch = "rowid <= ? AND handle IS NOT ? ORDER BY rowid LIMIT ?";
  const deleteBatch = (condition: string) => `DELETE FROM ${table}
    WHERE rowid IN (SELECT rowid FROM ${table} WHERE ${condition} AND ${batch}) RETURNING expires_at`;
  /** Statements on the sessions that a column chooses. */
  const ofColumn = (column: "user_id" | "link") => ({
    list: database.prepare(`
      SELECT ${RECORD}, handle FROM ${table}
      WHERE ${column} = ? AND expires_at > ? AND (touched_at < ? OR touched_at = ? AND handle > ?)
      ORDER BY touched_at DESC, handle LIMIT ?`),
    count: database.prepare(`SELECT count(*) AS count FROM ${table} WHERE ${column} = ? AND expires_at > ?`),
    deleteBatch: database.prepare(deleteBatch(`${column} = ?`)),
  });
  const due = `SELECT rowid FROM ${table} WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?`;
  return {
    load: withArrays(database.prepare(`SELECT ${RECORD} FROM ${table} WHERE handle = ? AND expires_at > ?`)),
    exists: database.prepare(`SELECT 1 FROM ${table} WHERE handle = ? AND expires_at > ?`),
    // Overwrites an expired record, which counts as absent.
    create: database.prepare(`
      INSERT INTO ${table} (handle, ${RECORD}, sweep_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (handle) DO UPDATE SET
        version = excluded.version, created_at = excluded.created_at, touched_at = excluded.touched_at,
        expires_at = excluded.expires_at, secret_hash = excluded.secret_hash, user_id = excluded.user_id,
        payload = excluded.payload, link = excluded.link, sweep_at = excluded.sweep_at
      WHERE expires_at <= ?`),
    update: database.prepare(`${update} ${ifVersion} AND sweep_at <= ?`),
    updateSooner: database.prepare(`${update}, sweep_at = min(sweep_at, ?) ${ifVersion}`),
    touch: database.prepare(`
      UPDATE ${table} SET touched_at = max(touched_at, ?), expires_at = max(expires_at, ?)
      WHERE handle = ? AND expires_at > ?`),
    delete: database.prepare(`DELETE FROM ${table} WHERE handle = ? RETURNING expires_at`),
    // Renames the row and changes its contents. OR IGNORE: not if the new handle is in use.
    replace: database.prepare(`
      UPDATE OR IGNORE ${table} SET handle = ?, version = ?, created_at = ?, touched_at = ?, expires_at = ?,
        secret_hash = ?, user_id = ?, payload = ?, link = ?, sweep_at = ? ${ifVersion}`),

    ofUser: ofColumn("user_id"),
    ofLink: ofColumn("link"),
    usesOfUser: database.prepare(
      `SELECT touched_at, handle FROM ${table} WHERE user_id = ? AND expires_at > ? AND ${IS_SESSION}`,
    ),
    listAll: database.prepare(`
      SELECT ${RECORD}, handle FROM ${table} WHERE handle > ? AND expires_at > ? AND ${IS_SESSION}
      ORDER BY handle LIMIT ?`),
    lastRow: database.prepare(`SELECT max(rowid) AS last FROM ${table}`),
    countAll: database.prepare(
      `SELECT (SELECT count(*) FROM ${table}) - (SELECT count(*) FROM ${table} WHERE ${IS_NOTE}) AS count`,
    ),

    deleteBatch: database.prepare(deleteBatch(IS_SESSION)),
    deleteExpired: database.prepare(`DELETE FROM ${table} WHERE rowid IN (${due}) AND expires_at <= ?`),
    sweepLater: database.prepare(
      `UPDATE ${table} SET sweep_at = expires_at WHERE rowid IN (${due}) AND expires_at > ?`,
    ),
  };
}

/** Returns the statements for a user or a link, and its name; `undefined` for everyone's sessions. */
export function chosenBy(sql: SqliteStatements, query: SessionQuery) {
  const { userId, link } = checkedQuery(query);
  if (userId !== undefined) return { statements: sql.ofUser, name: encode(userId) };
  return link === undefined ? undefined : { statements: sql.ofLink, name: encode(link) };
}

/** Returns the columns of a new row, in the order of `create` and `replace`. */
export function rowOf(handle: string, record: SessionRecord): SqliteValue[] {
  const { payload, version, secretHash, userId, link, createdAt, touchedAt, expiresAt } = record;
  const user = userId === null ? null : encode(userId);
  const content = [version, createdAt, touchedAt, expiresAt, encode(secretHash), user, encode(payload)];
  return [encode(handle), ...content, link === undefined ? null : encode(link), expiresAt];
}

/** Encodes text. SQLite stores UTF-8, so text with lone surrogates becomes bytes of UTF-16. */
export function encode(text: string): SqliteValue {
  return toUSVString(text) === text ? text : Buffer.from(text, "utf16le");
}

/** Reads columns. Any other type than these was stored by something else. */
export const codec = {
  decode(value: unknown): string {
    if (typeof value === "string") return value;
    if (value instanceof Uint8Array) return Buffer.from(value).toString("utf16le");
    throw damaged();
  },
  /** A connection may be configured to return integers as BigInt. */
  number(value: unknown): number {
    if (typeof value === "number" || typeof value === "bigint") return Number(value);
    throw damaged();
  },
};

function damaged(): SojournError {
  return new SojournError("STORE_CORRUPT", "The session database holds a row that is not a session.");
}
