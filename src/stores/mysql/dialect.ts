import { createHash } from "node:crypto";
import { SojournError } from "../../contract/errors.ts";
import { NOTE } from "../../contract/store.ts";
import type { Result, SqlDialect, Values } from "../sql/dialect.ts";
import { IS_NOTE, IS_SESSION } from "../sql/records.ts";
import { BATCH_SIZE, conditionOf, sharedStatements, withParameters } from "../sql/statements.ts";
import { discard, type MysqlConnection, type MysqlPool, type MysqlQuery } from "./client.ts";
import { explain, isDuplicate } from "./failures.ts";

/** Begins text stored as UTF-16: UTF-8 can't hold a lone surrogate, and never begins with this. */
const UTF16 = 0xff;
/** Seconds that a process waits while another one migrates the table. */
const LOCK_SECONDS = 30;
/** How long the row that stands for a user stays, for the next login, in milliseconds. */
const LOCK_ROW_MS = 60_000;

export const mysql: SqlDialect<MysqlPool, MysqlConnection> = {
  quote: "`",
  statements: (table) => ({
    ...sharedStatements(table),
    delete: `DELETE FROM ${table} WHERE handle = :handle AND expires_at > :now`,
    // A session that has expired by this process's clock may be alive by another's.
    deleteExpired: `DELETE FROM ${table} WHERE handle = :handle`,
    countAll: `SELECT (SELECT COUNT(*) FROM ${table} WHERE expires_at > :now) -
      (SELECT COUNT(*) FROM ${table} WHERE ${IS_NOTE} AND expires_at > :now)`,
    // Reads each row's newest state, so a touch that came first keeps its session.
    prune: `DELETE FROM ${table} WHERE expires_at <= :now ORDER BY expires_at, handle LIMIT :limit`,
  }),

  async deleteAll(run, table, values) {
    const condition = conditionOf(values());
    const whose = `${condition} AND NOT (handle <=> :except)`;
    // Both, because a session that has expired by this process's clock may be alive by another's.
    const unexpired = "AND expires_at > :now";
    const expired = "AND expires_at <= :now";
    let ended = 0;
    if (condition === IS_SESSION) {
      // Deletes everything but the last few, and those that get a new handle in the meantime. Each
      // batch begins where the last one ended. From the first row it would walk over all rows that
      // are deleted and not yet purged, in time quadratic in the sessions.
      const boundary = `SELECT handle FROM ${table} WHERE handle > :after ORDER BY handle LIMIT 1 OFFSET ${BATCH_SIZE - 1}`;
      const range = `DELETE FROM ${table} WHERE handle > :after AND handle <= :last AND ${whose}`;
      for (let after: Buffer = Buffer.alloc(0); ; ) {
        const last = (await run(boundary, { after })).rows[0]?.[0];
        if (!Buffer.isBuffer(last)) break;
        const within = { ...values(), after, last };
        ended += (await run(`${range} ${unexpired}`, within)).affected;
        await run(`${range} ${expired}`, within);
        after = last;
      }
    }
    for (const which of [unexpired, expired]) {
      for (let removed = BATCH_SIZE; removed === BATCH_SIZE; ) {
        const text = `DELETE FROM ${table} WHERE ${whose} ${which} ORDER BY handle LIMIT ${BATCH_SIZE}`;
        removed = (await run(text, values())).affected;
        if (which === unexpired) ended += removed;
      }
    }
    return ended;
  },

  /**
   * Stores text as bytes. All but the newest collations consider `a` and `a ` equal, and no user
   * may get another user's sessions.
   */
  encode(text) {
    if (text.isWellFormed()) return Buffer.from(text);
    return Buffer.concat([Buffer.of(UTF16), Buffer.from(text, "utf16le")]);
  },
  decode(value) {
    if (Buffer.isBuffer(value)) return value[0] === UTF16 ? value.toString("utf16le", 1) : value.toString();
    throw new SojournError(
      "STORE_CORRUPT",
      "A column of bytes came back as another type: the table was altered, or the answer was damaged on its way.",
    );
  },
  query,

  /**
   * `valuesOf` allows no longer texts than these columns, so no `sql_mode` can truncate one. Each
   * step is one statement with the comment that completes it: no transaction could span two.
   */
  steps: [
    (table, comment) => [
      `CREATE TABLE IF NOT EXISTS ${table} (
        handle VARBINARY(255) NOT NULL PRIMARY KEY,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        touched_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        secret_hash VARBINARY(255) NOT NULL,
        user_id VARBINARY(1024),
        payload LONGBLOB NOT NULL,
        KEY by_expiry (expires_at),
        KEY by_user (user_id)
      ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='${comment}'`,
    ],
    // See `writeIds`.
    (table, comment) => [`ALTER TABLE ${table} ADD COLUMN write_id BIGINT NOT NULL DEFAULT 0, COMMENT='${comment}'`],
    (table, comment) => [
      `ALTER TABLE ${table} ADD COLUMN link VARBINARY(255), ADD KEY by_link (link), COMMENT='${comment}'`,
    ],
  ],

  async inspect(connection, { schema = null, name }) {
    const { rows } = await query(
      connection,
      `SELECT @@innodb_flush_log_at_trx_commit, @@autocommit, (SELECT table_comment FROM information_schema.tables
        WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name)`,
      { schema, name },
    );
    const [flush, autocommit, comment] = rows[0] ?? [];
    if (Number(autocommit) === 0) {
      throw new SojournError(
        "STORE_UNAVAILABLE",
        "The pool's connections have autocommit off: nothing would be saved. Turn it on.",
      );
    }
    return {
      comment: comment === null ? undefined : String(comment),
      // 0 leaves the log in the server for a second, 2 in the operating system.
      durable: Number(flush) === 1 ? "power-loss" : "process-crash",
    };
  },

  async withMigrationLock(connection, { schema = null, name }, work) {
    // Lock names are global to the server and have at most 64 characters. MySQL 9 has no MD5.
    const lock = "CONCAT('sojourn:', LEFT(SHA2(CONCAT(COALESCE(:schema, DATABASE()), '.', :name), 256), 32))";
    const locked = await query(connection, `SELECT GET_LOCK(${lock}, ${LOCK_SECONDS})`, { schema, name });
    if (Number(locked.rows[0]?.[0]) !== 1) {
      throw new SojournError("STORE_UNAVAILABLE", `Another process has been migrating the table ${name} for too long.`);
    }
    try {
      await work();
    } finally {
      await query(connection, `SELECT RELEASE_LOCK(${lock})`, { schema, name }).catch(() => {});
    }
  },

  /**
   * Locks a row, a note that stands for the user: gap locks on the user's index would let two
   * first logins in, and then stop both in a deadlock. GET_LOCK takes one more round trip to give
   * back, and means nothing to the other servers of a Galera cluster; two that write this row
   * conflict there. The transaction's snapshot is taken by its first plain read, after the wait.
   */
  async beginForUser(connection, table, userId, now) {
    const lock = `${NOTE}admitting:${createHash("sha256").update(userId).digest("base64url")}`;
    await connection.query({ sql: "START TRANSACTION" });
    await query(
      connection,
      `INSERT INTO ${table} (handle, version, created_at, touched_at, expires_at, secret_hash, payload)
        VALUES (:lock, 1, :now, :now, :until, '', '')
        ON DUPLICATE KEY UPDATE expires_at = :until, write_id = write_id + 1`,
      { lock, now, until: now + LOCK_ROW_MS },
    );
  },
  // As text: MySQL can't prepare these.
  async end(connection, how) {
    await connection.query({ sql: how });
  },

  connect: (pool) => pool.getConnection(),
  /** The pool wraps a connection in a new promise version each time it hands it out. */
  identity(connection) {
    const inner: unknown = "connection" in connection ? connection.connection : connection;
    return typeof inner === "object" && inner !== null ? inner : connection;
  },
  connectEvent: "connection",
  release: (connection) => connection.release(),
  discard,
  explain,
  isDuplicate,
};

/** Runs a prepared statement. `mysql2` prepares it once per connection. */
async function query(connection: MysqlConnection, text: string, values: Values = {}): Promise<Result> {
  const bound: MysqlQuery["values"] = [];
  const sql = withParameters(text, (name) => {
    const value = values[name] ?? null;
    // `mysql2` binds numbers as doubles, which MySQL does not accept as a limit.
    if (name === "limit") return String(value);
    bound.push(value);
    return "?";
  });
  const [result] = await connection.execute({
    sql,
    values: bound,
    rowsAsArray: true,
    nestTables: false,
    namedPlaceholders: false,
    typeCast,
    supportBigNumbers: false,
    bigNumberStrings: false,
  });
  return {
    rows: Array.isArray(result) ? result.filter((row) => Array.isArray(row)) : [],
    affected: Number(Object(result).affectedRows),
  };
}

/** Overrides a `typeCast` function of the application's pool, which `true` would not do. */
function typeCast(_field: unknown, next: () => unknown): unknown {
  return next();
}
