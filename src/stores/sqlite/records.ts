import { toUSVString } from "node:util";
import { SojournError } from "../../contract/errors.ts";
import type { ReplaceResult, SessionRecord, StoredSession, UpdateResult } from "../../contract/store.ts";
import type { PageStart } from "../paging.ts";
import { IS_NOTE, IS_SESSION } from "../sql/notes.ts";
import { type SqliteDatabase, type SqliteStatement, type SqliteValue, valuesOf, withArrays } from "./database.ts";

const RECORD = "payload, version, secret_hash, user_id, created_at, touched_at, expires_at";

/** The statements, each prepared once. Those that write run inside a transaction of {@link Commits}. */
export class Records {
  readonly #place: string;
  readonly #load: SqliteStatement;
  readonly #create: SqliteStatement;
  readonly #update: SqliteStatement;
  readonly #updateSooner: SqliteStatement;
  readonly #touch: SqliteStatement;
  readonly #exists: SqliteStatement;
  readonly #delete: SqliteStatement;
  readonly #replace: SqliteStatement;
  readonly #ofUser: SqliteStatement;
  readonly #scan: SqliteStatement;
  readonly #lastRow: SqliteStatement;
  readonly #count: SqliteStatement;
  readonly #countUser: SqliteStatement;
  readonly #deleteSome: SqliteStatement;
  readonly #deleteSomeOfUser: SqliteStatement;
  readonly #deleteExpired: SqliteStatement;
  readonly #sweepLater: SqliteStatement;

  /** @param place what errors call the database */
  constructor(database: SqliteDatabase, tableName: string, place: string) {
    const table = `"${tableName}"`;
    this.#place = place;
    this.#load = withArrays(database.prepare(`SELECT ${RECORD} FROM ${table} WHERE handle = ? AND expires_at > ?`));
    // An expired record under the handle counts as absent, so it is replaced.
    this.#create = database.prepare(`
      INSERT INTO ${table} (handle, ${RECORD}, sweep_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (handle) DO UPDATE SET
        payload = excluded.payload, version = excluded.version, secret_hash = excluded.secret_hash,
        user_id = excluded.user_id, created_at = excluded.created_at, touched_at = excluded.touched_at,
        expires_at = excluded.expires_at, sweep_at = excluded.sweep_at
      WHERE expires_at <= ?`);
    // SQLite rewrites the entry of an index whenever its column is assigned, so the usual statement doesn't assign it.
    const update = `
      UPDATE ${table} SET payload = ?, version = ?, secret_hash = ?, created_at = ?, touched_at = ?, expires_at = ?`;
    const thisVersion = "WHERE handle = ? AND version = ? AND expires_at > ?";
    this.#update = database.prepare(`${update} ${thisVersion} AND sweep_at <= ?`);
    this.#updateSooner = database.prepare(`${update}, sweep_at = min(sweep_at, ?) ${thisVersion}`);
    this.#touch = database.prepare(`
      UPDATE ${table} SET touched_at = max(touched_at, ?), expires_at = max(expires_at, ?)
      WHERE handle = ? AND expires_at > ?`);
    this.#exists = database.prepare(`SELECT 1 FROM ${table} WHERE handle = ? AND expires_at > ?`);
    this.#delete = database.prepare(`DELETE FROM ${table} WHERE handle = ? RETURNING expires_at`);
    // The row gets another name and other contents. OR IGNORE: where the name is taken, it stays as it is.
    this.#replace = database.prepare(`
      UPDATE OR IGNORE ${table} SET handle = ?, payload = ?, version = ?, secret_hash = ?, user_id = ?, created_at = ?,
        touched_at = ?, expires_at = ?, sweep_at = ? ${thisVersion}`);

    this.#ofUser = database.prepare(`
      SELECT ${RECORD}, handle FROM ${table}
      WHERE user_id = ? AND expires_at > ? AND (touched_at < ? OR touched_at = ? AND handle > ?)
      ORDER BY touched_at DESC, handle LIMIT ?`);
    this.#scan = database.prepare(`
      SELECT rowid, handle, touched_at FROM ${table} WHERE rowid > ? AND rowid <= ? AND expires_at > ? AND ${IS_SESSION}
      ORDER BY rowid LIMIT ?`);
    this.#lastRow = database.prepare(`SELECT max(rowid) AS last FROM ${table}`);
    this.#count = database.prepare(
      `SELECT (SELECT count(*) FROM ${table}) - (SELECT count(*) FROM ${table} WHERE ${IS_NOTE}) AS count`,
    );
    this.#countUser = database.prepare(`SELECT count(*) AS count FROM ${table} WHERE user_id = ? AND expires_at > ?`);

    const some = "rowid <= ? AND handle IS NOT ? ORDER BY rowid LIMIT ?";
    this.#deleteSome = database.prepare(`
      DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE ${IS_SESSION} AND ${some}) RETURNING expires_at`);
    this.#deleteSomeOfUser = database.prepare(`
      DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE user_id = ? AND ${some}) RETURNING expires_at`);

    const due = `SELECT rowid FROM ${table} WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?`;
    this.#deleteExpired = database.prepare(`DELETE FROM ${table} WHERE rowid IN (${due}) AND expires_at <= ?`);
    this.#sweepLater = database.prepare(
      `UPDATE ${table} SET sweep_at = expires_at WHERE rowid IN (${due}) AND expires_at > ?`,
    );
  }

  load(handle: string, now: number): SessionRecord | undefined {
    const row = this.#load.get(stored(handle), now);
    return row === undefined ? undefined : this.#record(valuesOf(row));
  }

  create(handle: string, record: SessionRecord, now: number): boolean {
    const { changes } = this.#create.run(...newRow(handle, record), now);
    return Number(changes) > 0;
  }

  update(handle: string, record: SessionRecord, expectedVersion: number, now: number): UpdateResult {
    const key = stored(handle);
    const { payload, version, secretHash, createdAt, touchedAt, expiresAt } = record;
    const values = [stored(payload), version, stored(secretHash), createdAt, touchedAt, expiresAt];
    const usual = this.#update.run(...values, key, expectedVersion, now, expiresAt);
    if (Number(usual.changes) > 0) return "ok";
    const sooner = this.#updateSooner.run(...values, expiresAt, key, expectedVersion, now);
    if (Number(sooner.changes) > 0) return "ok";
    return this.#exists.get(key, now) === undefined ? "gone" : "conflict";
  }

  touch(handle: string, touchedAt: number, expiresAt: number, now: number): boolean {
    const key = stored(handle);
    return Number(this.#touch.run(touchedAt, expiresAt, key, now).changes) > 0;
  }

  delete(handle: string, now: number): boolean {
    const row = this.#delete.get(stored(handle));
    return row !== undefined && this.#number(valuesOf(row)[0]) > now;
  }

  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone: StoredSession | undefined,
    now: number,
  ): ReplaceResult {
    const { changes } = this.#replace.run(...newRow(newHandle, record), stored(handle), expectedVersion, now);
    if (Number(changes) > 0) {
      if (tombstone !== undefined) this.#create.run(...newRow(tombstone.handle, tombstone), Number.MAX_SAFE_INTEGER);
      return "ok";
    }
    const there = this.load(handle, now);
    if (there === undefined) return "gone";
    return there.version === expectedVersion ? "taken" : "conflict";
  }

  ofUser(userId: string, start: PageStart | undefined, limit: number, now: number): StoredSession[] {
    const touchedAt = start?.touchedAt ?? Number.POSITIVE_INFINITY;
    const rows = this.#ofUser.all(stored(userId), now, touchedAt, touchedAt, stored(start?.handle ?? ""), limit);
    return rows.map((row) => {
      const values = valuesOf(row);
      return { handle: this.#text(values[7]), ...this.#record(values) };
    });
  }

  /** The places of the next unexpired sessions in the order of their rows. */
  scan(after: number, last: number, limit: number, now: number): { row: number; place: PageStart }[] {
    return this.#scan.all(after, last, now, limit).map((found) => {
      const [row, handle, touchedAt] = valuesOf(found);
      return { row: this.#number(row), place: { handle: this.#text(handle), touchedAt: this.#number(touchedAt) } };
    });
  }

  /** The newest row's number; 0 in an empty table. */
  lastRow(): number {
    const [last] = valuesOf(this.#lastRow.get());
    return last === null ? 0 : this.#number(last);
  }

  count(): number {
    return this.#number(valuesOf(this.#count.get())[0]);
  }

  countOfUser(userId: string, now: number): number {
    return this.#number(valuesOf(this.#countUser.get(stored(userId), now))[0]);
  }

  /** Deletes the next few up to a row; how many there were, and how many of them had not expired. */
  deleteSome(
    query: { userId?: string; except?: string },
    lastRow: number,
    limit: number,
    now: number,
  ): { rows: number; unexpired: number } {
    const some = [lastRow, query.except === undefined ? null : stored(query.except), limit];
    const rows =
      query.userId === undefined
        ? this.#deleteSome.all(...some)
        : this.#deleteSomeOfUser.all(stored(query.userId), ...some);
    const unexpired = rows.filter((row) => this.#number(valuesOf(row)[0]) > now).length;
    return { rows: rows.length, unexpired };
  }

  /**
   * Looks at the next few that are due: deletes those that have expired, and notes when to look at the others again.
   * In one transaction, so that a touch comes before it or after it.
   */
  sweep(limit: number, now: number): { expired: number; more: boolean } {
    const expired = Number(this.#deleteExpired.run(now, limit, now).changes);
    // What is left of the first `limit` is what has not expired, and it still comes first.
    const kept = expired < limit ? Number(this.#sweepLater.run(now, limit - expired, now).changes) : 0;
    return { expired, more: expired + kept >= limit };
  }

  /** Of the columns of `RECORD`. */
  #record(values: readonly unknown[]): SessionRecord {
    const userId = values[3];
    return {
      payload: this.#text(values[0]),
      version: this.#number(values[1]),
      secretHash: this.#text(values[2]),
      userId: userId === null ? null : this.#text(userId),
      createdAt: this.#number(values[4]),
      touchedAt: this.#number(values[5]),
      expiresAt: this.#number(values[6]),
    };
  }

  #text(value: unknown): string {
    if (typeof value === "string") return value;
    if (value instanceof Uint8Array) return Buffer.from(value).toString("utf16le");
    throw this.#damaged();
  }

  #number(value: unknown): number {
    if (typeof value === "number") return value;
    // A connection may be set to read whole numbers so.
    if (typeof value === "bigint") return Number(value);
    throw this.#damaged();
  }

  #damaged(): SojournError {
    return new SojournError(
      "STORE_CORRUPT",
      `The session database ${this.#place} holds a row that no session was stored as.`,
    );
  }
}

/** In the order of the columns, with when a sweep looks at it. */
function newRow(handle: string, record: SessionRecord): SqliteValue[] {
  const { payload, version, secretHash, userId, createdAt, touchedAt, expiresAt } = record;
  const user = userId === null ? null : stored(userId);
  return [
    stored(handle),
    stored(payload),
    version,
    stored(secretHash),
    user,
    createdAt,
    touchedAt,
    expiresAt,
    expiresAt,
  ];
}

/** SQLite's text is UTF-8, which has no lone surrogates and would replace them: such text is kept as UTF-16 bytes. */
function stored(text: string): SqliteValue {
  return toUSVString(text) === text ? text : Buffer.from(text, "utf16le");
}
