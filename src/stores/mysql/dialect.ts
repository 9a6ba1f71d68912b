import { SojournError } from "../../contract/errors.ts";
import { type Answer, BATCH, type SqlDialect, type Values, withParameters } from "../sql/dialect.ts";
import { IS_NOTE, IS_SESSION } from "../sql/notes.ts";
import { discard, type MysqlConnection, type MysqlPool, type MysqlQuery } from "./client.ts";
import { explain, isDuplicate } from "./failures.ts";

/** Begins the bytes of a text with half a surrogate pair, which UTF-8 can't hold. No UTF-8 begins with it. */
const UTF16 = 0xff;
/** For how many seconds a process waits while another one makes the table. */
const LOCK_SECONDS = 30;

export const mysql: SqlDialect<MysqlPool, MysqlConnection> = {
  quote: "`",
  fragments: {},
  own: (table) => ({
    delete: `DELETE FROM ${table} WHERE handle = :handle AND expires_at > :now`,
    /** What had expired by this process's clock may be alive by another's. */
    deleteExpired: `DELETE FROM ${table} WHERE handle = :handle`,
    countAll: `SELECT (SELECT COUNT(*) FROM ${table} WHERE expires_at > :now) -
      (SELECT COUNT(*) FROM ${table} WHERE ${IS_NOTE} AND expires_at > :now)`,
    /** Reads what it removes as it is at that moment, so a touch that came first keeps its session. */
    prune: `DELETE FROM ${table} WHERE expires_at <= :now ORDER BY expires_at, handle LIMIT :limit`,
  }),

  async deleteAll(run, table, values) {
    const ofUser = "userId" in values();
    const whose = `${ofUser ? "user_id = :userId" : IS_SESSION} AND NOT (handle <=> :except)`;
    // What had expired by this process's clock may be alive by another's.
    const unexpired = "AND expires_at > :now";
    const expired = "AND expires_at <= :now";
    let ended = 0;
    if (!ofUser) {
      // Everyone's, but for the last few and for what gets another handle meanwhile. A statement that begins at the first row walks over
      // all that was deleted and not yet purged: the time would grow with the square of the sessions.
      const boundary = `SELECT handle FROM ${table} WHERE handle > :after ORDER BY handle LIMIT 1 OFFSET ${BATCH - 1}`;
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
      for (let removed = BATCH; removed === BATCH; ) {
        const text = `DELETE FROM ${table} WHERE ${whose} ${which} ORDER BY handle LIMIT ${BATCH}`;
        removed = (await run(text, values())).affected;
        if (which === unexpired) ended += removed;
      }
    }
    return ended;
  },

  /** As bytes: every collation of MySQL but the newest takes `a` and `a ` for the same, and a user must never be given another one's sessions. */
  encode(text) {
    if (text.isWellFormed()) return Buffer.from(text);
    return Buffer.concat([Buffer.of(UTF16), Buffer.from(text, "utf16le")]);
  },
  decode(value) {
    if (!Buffer.isBuffer(value))
      throw new TypeError("MysqlStore: the table was altered: a column of bytes is another one");
    return value[0] === UTF16 ? value.toString("utf16le", 1) : value.toString();
  },
  ask,

  /**
   * The lengths are those that `valuesOf` lets through, so that no `sql_mode` can have anything cut off. An update changes the entries of no
   * index but those of the times that it moves.
   *
   * A step is one statement, the last one with the comment that makes it count: no transaction spans two of them.
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
        KEY by_use (touched_at DESC, handle),
        KEY by_user (user_id)
      ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='${comment}'`,
    ],
    // By which a write whose reply was lost is known again, see `writeIds`.
    (table, comment) => [`ALTER TABLE ${table} ADD COLUMN write_id BIGINT NOT NULL DEFAULT 0, COMMENT='${comment}'`],
  ],

  async look(connection, { schema = null, name }) {
    const { rows } = await ask(
      connection,
      `SELECT @@innodb_flush_log_at_trx_commit, @@autocommit, (SELECT table_comment FROM information_schema.tables
        WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name)`,
      { schema, name },
    );
    const [flush, autocommit, comment] = rows[0] ?? [];
    if (Number(autocommit) === 0) {
      throw new SojournError(
        "STORE_UNAVAILABLE",
        "The pool's connections have autocommit off: nothing would be saved.",
      );
    }
    return {
      comment: comment === null ? undefined : String(comment),
      // 2 leaves the log to the operating system for a second, 0 to the server itself.
      durable: Number(flush) === 1 ? "power-loss" : "process-crash",
    };
  },

  async exclusively(connection, { schema = null, name }, work) {
    // Names of locks are the whole server's, and have at most 64 characters. MySQL 9 has no MD5 any more.
    const lock = "CONCAT('sojourn:', LEFT(SHA2(CONCAT(COALESCE(:schema, DATABASE()), '.', :name), 256), 32))";
    const locked = await ask(connection, `SELECT GET_LOCK(${lock}, ${LOCK_SECONDS})`, { schema, name });
    if (Number(locked.rows[0]?.[0]) !== 1) {
      throw new SojournError("STORE_UNAVAILABLE", `Another process has been at the table ${name} for too long.`);
    }
    try {
      await work();
    } finally {
      await ask(connection, `SELECT RELEASE_LOCK(${lock})`, { schema, name }).catch(() => {});
    }
  },

  connect: (pool) => pool.getConnection(),
  /** Promises are put around a connection each time that it is given out. */
  identity(connection) {
    const inner: unknown = "connection" in connection ? connection.connection : connection;
    return typeof inner === "object" && inner !== null ? inner : connection;
  },
  opened: "connection",
  release: (connection) => connection.release(),
  discard,
  explain,
  isDuplicate,
};

/** Statements are prepared, once for each connection. */
async function ask(connection: MysqlConnection, text: string, values: Values = {}): Promise<Answer> {
  const bound: MysqlQuery["values"] = [];
  const sql = withParameters(text, (name) => {
    const value = values[name] ?? null;
    // What is bound can be no limit: `mysql2` sends numbers as doubles.
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

/** Instead of a function that the application gave its pool; `true` would not be. */
function typeCast(_field: unknown, next: () => unknown): unknown {
  return next();
}
