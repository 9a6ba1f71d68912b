import { createHash } from "node:crypto";
import { SojournError } from "../../contract/errors.ts";
import type { Result, SchemaStep, SqlDialect, Values } from "../sql/dialect.ts";
import { IS_NOTE, RECORD } from "../sql/records.ts";
import { BATCH_SIZE, conditionOf, type Statements, sharedStatements, withParameters } from "../sql/statements.ts";
import type { PostgresClient, PostgresPool, PostgresQuery } from "./client.ts";
import { explain, isDuplicate } from "./failures.ts";

type Dialect = SqlDialect<PostgresPool, PostgresClient>;

/** Begins text stored as JSON: `text` can't hold a zero character or a lone surrogate. */
const ESCAPED = "\u0001";
/** How often a batch is repeated because its sessions were replaced while it waited for them. */
const MAX_LOOKS = 100;

/**
 * Indexed columns don't change when a session is touched or updated. PostgreSQL then rewrites the
 * row alone and no index (a heap-only tuple, for which a tenth of each page stays free). So
 * `sweep_at` is never later than `expires_at`, and stays behind when that moves on.
 */
const steps: readonly SchemaStep[] = [
  (table, comment) => [
    // The "C" collation compares bytes, whatever the database's own collation considers equal.
    `CREATE TABLE ${table} (
      version bigint NOT NULL,
      created_at bigint NOT NULL,
      touched_at bigint NOT NULL,
      expires_at bigint NOT NULL,
      sweep_at bigint NOT NULL,
      handle text COLLATE "C" PRIMARY KEY,
      secret_hash text COLLATE "C" NOT NULL,
      user_id text COLLATE "C",
      payload text COLLATE "C" NOT NULL
    ) WITH (fillfactor = 90)`,
    `CREATE INDEX ON ${table} (sweep_at)`,
    `CREATE INDEX ON ${table} (user_id) WHERE user_id IS NOT NULL`,
    `COMMENT ON TABLE ${table} IS '${comment}'`,
  ],
  // See `writeIds`.
  (table, comment) => [
    `ALTER TABLE ${table} ADD COLUMN write_id bigint NOT NULL DEFAULT 0`,
    `COMMENT ON TABLE ${table} IS '${comment}'`,
  ],
  (table, comment) => [
    `ALTER TABLE ${table} ADD COLUMN link text COLLATE "C"`,
    `CREATE INDEX ON ${table} (link) WHERE link IS NOT NULL`,
    `COMMENT ON TABLE ${table} IS '${comment}'`,
  ],
];

/** How long a transaction that locks a user may wait for its next statement. */
const MOST_IDLE_MS = 5_000;

/** @param prepare whether to prepare statements, once per connection */
export function postgres(prepare: boolean): Dialect {
  const query = statementRunner(prepare);
  return {
    quote: '"',
    statements,
    deleteAll,
    encode(text) {
      if (!text.includes("\0") && !text.startsWith(ESCAPED) && text.isWellFormed()) return text;
      return ESCAPED + JSON.stringify(text);
    },
    decode(value) {
      const text = String(value);
      if (!text.startsWith(ESCAPED)) return text;
      const escaped: unknown = JSON.parse(text.slice(ESCAPED.length));
      return String(escaped);
    },
    query,
    steps,

    async inspect(client, table) {
      // FROM names the catalogue, so the statement locks it. Only then does PostgreSQL check again
      // whether the table exists, instead of using what it knew before it waited for the lock.
      const { rows } = await query(
        client,
        `SELECT CASE WHEN oid IS NOT NULL THEN COALESCE(obj_description(oid, 'pg_class'), '') END,
          current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_encoding')
        FROM (SELECT) one LEFT JOIN pg_class ON oid = to_regclass(:table)`,
        { table: table.quoted },
      );
      const [comment, synchronous, fsync, encoding] = rows[0] ?? [];
      if (encoding !== "UTF8" && encoding !== "SQL_ASCII") {
        throw new SojournError("STORE_UNAVAILABLE", `The database's encoding is ${encoding}: sessions need UTF8.`);
      }
      return {
        comment: typeof comment === "string" ? comment : undefined,
        // Without a sync, a crash of the server loses the commits of up to three wal_writer_delays.
        durable: synchronous === "off" || fsync === "off" ? "process-crash" : "power-loss",
      };
    },

    /** Takes an advisory lock, because two `IF NOT EXISTS` can collide in the catalogue. */
    async withMigrationLock(client, table, work) {
      await query(client, "BEGIN");
      try {
        // Building an index may take longer than a query, and so may the wait for this lock.
        await query(
          client,
          "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '10s', true)",
        );
        await query(client, "SELECT pg_advisory_xact_lock(hashtext('sojourn'), hashtext(:table))", {
          table: table.quoted,
        });
        await work();
        await query(client, "COMMIT");
      } catch (error) {
        // If this fails too, the connection is broken. The first error says why.
        await query(client, "ROLLBACK").catch(() => {});
        throw error;
      }
    },

    /**
     * Takes an advisory lock, because nothing in the table stands for a user who has no session
     * yet. It needs a transaction of its own: behind PgBouncer only a transaction keeps its server.
     * READ COMMITTED, so that what follows sees what the lock's last holder has committed; one
     * statement that locks and counts would count as of before its wait. All in one round trip, in
     * text without parameters. If this machine vanishes, the server ends the idle transaction,
     * which otherwise would keep the user's lock until TCP gives up, for hours.
     */
    async beginForUser(client, table, userId) {
      const lock = createHash("sha256").update(`${table}\0`).update(userId).digest().readBigInt64BE();
      const text = `BEGIN ISOLATION LEVEL READ COMMITTED;
        SET LOCAL idle_in_transaction_session_timeout = ${MOST_IDLE_MS}; SELECT pg_advisory_xact_lock(${lock})`;
      await client.query({ text, values: [], rowMode: "array", types: textFormat });
    },

    async end(client, how) {
      await query(client, how);
    },

    async connect(pool) {
      const client = await pool.connect();
      try {
        refuseBinary(client);
      } catch (error) {
        client.release(true);
        throw error;
      }
      return client;
    },
    identity: (client) => client,
    connectEvent: "connect",
    release: (client) => client.release(false),
    discard: (client) => client.release(true),
    explain,
    isDuplicate,
  };
}

/** Returns a function that runs statements, and builds the query for each text once. */
function statementRunner(prepare: boolean) {
  const builders = new Map<string, (values: Values) => PostgresQuery>();

  function builderOf(text: string): (values: Values) => PostgresQuery {
    const names: string[] = [];
    const numbered = withParameters(text, (name) => {
      if (!names.includes(name)) names.push(name);
      return `$${names.indexOf(name) + 1}`;
    });
    const query: Omit<PostgresQuery, "values"> = { text: numbered, rowMode: "array", types: textFormat };
    // Stores of different tables share connections, so a statement's name depends on its text.
    // Statements without parameters run once, and are not prepared.
    const hash = createHash("sha256").update(numbered).digest("base64url");
    if (prepare && names.length > 0) query.name = `sojourn-${hash.slice(0, 16)}`;
    return (values) => ({ ...query, values: names.map((name) => values[name] ?? null) });
  }

  return async (client: PostgresClient, text: string, values: Values = {}): Promise<Result> => {
    const build = builders.get(text) ?? builderOf(text);
    builders.set(text, build);
    const { rows, rowCount } = await client.query(build(values));
    return { rows, affected: rowCount ?? 0 };
  };
}

/** Keeps values in PostgreSQL's text format. */
const textFormat: PostgresQuery["types"] = { getTypeParser: () => (value) => value };

/** Completes an insert whose handle is in use. */
const OVERWRITE = `ON CONFLICT (handle) DO UPDATE SET
  version = excluded.version, created_at = excluded.created_at, touched_at = excluded.touched_at,
  expires_at = excluded.expires_at, sweep_at = excluded.sweep_at, secret_hash = excluded.secret_hash,
  user_id = excluded.user_id, payload = excluded.payload, link = excluded.link, write_id = excluded.write_id`;

function statements(table: string): Statements {
  const column = { name: "sweep_at", created: ":expiresAt", updated: "LEAST(sweep_at, :expiresAt)" };
  const shared = sharedStatements(table, column);
  return {
    ...shared,
    insert: `${shared.insert} ${OVERWRITE} WHERE ${table}.expires_at <= :now OR ${table}.write_id = :writeId`,
    replaceWithTombstone: `WITH changed AS (${shared.replace} RETURNING 1),
      noted AS (INSERT INTO ${table} (handle, ${RECORD}, sweep_at)
        SELECT :noteHandle, :noteVersion::bigint, :noteCreatedAt::bigint, :noteTouchedAt::bigint, :noteExpiresAt::bigint,
          :noteSecretHash, :noteUserId, :notePayload, :noteLink, :noteExpiresAt::bigint FROM changed ${OVERWRITE})
      SELECT FROM changed`,
    delete: `WITH removed AS (DELETE FROM ${table} WHERE handle = :handle RETURNING expires_at)
      SELECT FROM removed WHERE expires_at > :now`,
    // A row whose sweep is not due is unexpired, by the index alone. The few others are read.
    countAll: `SELECT (SELECT count(*) FROM ${table} WHERE sweep_at > :now) +
      (SELECT count(*) FROM ${table} WHERE sweep_at <= :now AND expires_at > :now) -
      (SELECT count(*) FROM ${table} WHERE ${IS_NOTE} AND expires_at > :now)`,
    // Examines rows whose sweep is due: deletes the expired ones, and postpones the others. It
    // skips rows that a touch or another sweep has locked, and locks the rest to read their newest
    // state.
    prune: `WITH due AS MATERIALIZED (
        SELECT handle, expires_at FROM ${table} WHERE sweep_at <= :now ORDER BY sweep_at LIMIT :limit FOR UPDATE SKIP LOCKED),
      moved AS (
        UPDATE ${table} t SET sweep_at = t.expires_at FROM due WHERE t.handle = due.handle AND due.expires_at > :now),
      removed AS (
        DELETE FROM ${table} t USING due WHERE t.handle = due.handle AND due.expires_at <= :now AND t.expires_at <= :now
        RETURNING 1)
      SELECT (SELECT count(*) FROM removed), (SELECT count(*) FROM due)`,
  };
}

/**
 * Deletes in the order of handles, so that two calls can't deadlock. If a session is replaced while
 * a batch waits for its row, the batch returns its new handle, but doesn't delete it: that row is
 * newer than the statement. The next batch finds it.
 */
const deleteAll: Dialect["deleteAll"] = async (run, table, values) => {
  let after = "";
  let looks = 0;
  for (let ended = 0; ; ) {
    const now = values();
    const { rows } = await run(
      `WITH doomed AS MATERIALIZED (
        SELECT handle FROM ${table}
        WHERE ${conditionOf(now)} AND handle > :after AND handle IS DISTINCT FROM :except
        ORDER BY handle LIMIT ${BATCH_SIZE} FOR UPDATE),
      removed AS (DELETE FROM ${table} t USING doomed WHERE t.handle = doomed.handle RETURNING t.expires_at)
      SELECT (SELECT count(*) FROM doomed), (SELECT count(*) FROM removed WHERE expires_at > :now),
        (SELECT handle FROM doomed ORDER BY handle DESC LIMIT 1), (SELECT count(*) FROM removed)`,
      { ...now, after },
    );
    const [doomed, unexpired, last, removed] = rows[0] ?? [];
    ended += Number(unexpired);
    if (Number(removed) < Number(doomed) && ++looks < MAX_LOOKS) continue;
    const isLast = Number(doomed) < BATCH_SIZE;
    if (isLast && after === "") return ended;
    // After the last batch, look from the start again: a replaced session may have moved there.
    after = isLast ? "" : String(last);
  }
};

/** @throws TypeError for `binary: true`: `pg` decodes binary numbers as UTF-8 */
export function refuseBinary(settings: unknown): void {
  if (Object(settings).binary) {
    throw new TypeError("PostgresStore: needs a pool without binary: true, with which pg damages numbers");
  }
}
