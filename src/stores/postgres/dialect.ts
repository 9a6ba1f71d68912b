import { createHash } from "node:crypto";
import { SojournError } from "../../contract/errors.ts";
import { type Answer, BATCH, type SqlDialect, type Values, withParameters } from "../sql/dialect.ts";
import { IS_NOTE, IS_SESSION } from "../sql/notes.ts";
import { RECORD } from "../sql/statements.ts";
import type { PostgresClient, PostgresPool, PostgresQuery } from "./client.ts";
import { explain, isDuplicate } from "./failures.ts";

/** Begins text that is kept as JSON, because PostgreSQL's `text` can't hold a zero character or half a surrogate pair. */
const ESCAPED = "\u0001";
/** How often a batch is tried again because sessions were replaced while it waited for them. */
const LOOKS = 100;

/**
 * Indexed columns stay as they are when a session is touched or changed: PostgreSQL then writes the row alone and leaves
 * every index as it is (a heap-only tuple, for which a tenth of each page is kept free). Hence `sweep_at`, which is never later
 * than `expires_at` and stays behind when that moves on, and `used_period`, the last use in units of 2^20 ms, 17.5 minutes.
 *
 * @param prepare whether statements are prepared, once for each connection
 */
export function postgres(prepare: boolean): SqlDialect<PostgresPool, PostgresClient> {
  const prepared = new Map<string, (values: Values) => PostgresQuery>();

  function prepareOnce(text: string): (values: Values) => PostgresQuery {
    const names: string[] = [];
    const numbered = withParameters(text, (name) => {
      if (!names.includes(name)) names.push(name);
      return `$${names.indexOf(name) + 1}`;
    });
    // Stores of different tables on one connection must not give different statements one name. What has no parameters is run once.
    const name = `sojourn-${createHash("sha256").update(numbered).digest("base64url").slice(0, 16)}`;
    const fixed: Omit<PostgresQuery, "values"> = { text: numbered, rowMode: "array", types: raw };
    if (prepare && names.length > 0) fixed.name = name;
    return (values) => ({ ...fixed, values: names.map((parameter) => values[parameter] ?? null) });
  }

  async function ask(client: PostgresClient, text: string, values: Values = {}): Promise<Answer> {
    let query = prepared.get(text);
    if (query === undefined) {
      query = prepareOnce(text);
      prepared.set(text, query);
    }
    const { rows } = await client.query(query(values));
    return { rows, affected: rows.length };
  }

  return {
    quote: '"',
    fragments: {
      orReplaceExpired: (table, anew) =>
        `ON CONFLICT (handle) DO UPDATE SET ${anew} WHERE ${table}.expires_at <= :now OR ${table}.write_id = :writeId RETURNING 1`,
      explained: (change, unexpired, also = "") =>
        `WITH changed AS (${change} RETURNING 1), ${also}
          found AS (SELECT version, write_id ${unexpired} AND NOT EXISTS (SELECT FROM changed))
        SELECT (SELECT count(*) FROM changed), version, write_id FROM (SELECT) one LEFT JOIN found ON true`,
      noted: (table) =>
        `noted AS (INSERT INTO ${table} (handle, ${RECORD}, sweep_at)
          SELECT :noteHandle, :noteVersion::bigint, :noteCreatedAt::bigint, :noteTouchedAt::bigint, :noteExpiresAt::bigint,
            :noteSecretHash, :noteUserId, :notePayload, :noteExpiresAt::bigint FROM changed
          ON CONFLICT (handle) DO UPDATE SET version = excluded.version, created_at = excluded.created_at,
            touched_at = excluded.touched_at, expires_at = excluded.expires_at, sweep_at = excluded.sweep_at,
            secret_hash = excluded.secret_hash, user_id = excluded.user_id, payload = excluded.payload),`,
      extra: { column: "sweep_at", created: ":expiresAt", updated: "LEAST(sweep_at, :expiresAt)" },
      // Within a period the last uses are sorted, so a page costs the periods that it reaches into.
      reached: "used_period <= LEAST(CAST(:usedAt AS bigint) >> 20, 2147483647)::integer AND",
      order: "used_period DESC,",
    },
    own: ownStatements,

    /**
     * In the order of handles, so that two that run at once can't wait for each other. One that was replaced while its row was waited for is
     * doomed by its new handle, and not removed, because the statement began before that was there: the next one finds it.
     */
    async deleteAll(run, table, values) {
      let after = "";
      let looks = 0;
      for (let ended = 0; ; ) {
        const now = values();
        const whose = "userId" in now ? "user_id = :userId" : IS_SESSION;
        const { rows } = await run(
          `WITH doomed AS MATERIALIZED (
            SELECT handle FROM ${table} WHERE ${whose} AND handle > :after AND handle IS DISTINCT FROM :except
            ORDER BY handle LIMIT ${BATCH} FOR UPDATE),
          removed AS (DELETE FROM ${table} t USING doomed WHERE t.handle = doomed.handle RETURNING t.expires_at)
          SELECT (SELECT count(*) FROM doomed), (SELECT count(*) FROM removed WHERE expires_at > :now),
            (SELECT handle FROM doomed ORDER BY handle DESC LIMIT 1), (SELECT count(*) FROM removed)`,
          { ...now, after },
        );
        const [doomed, unexpired, last, removed] = rows[0] ?? [];
        ended += Number(unexpired);
        if (Number(removed) < Number(doomed) && ++looks < LOOKS) continue;
        const isLast = Number(doomed) < BATCH;
        if (isLast && after === "") return ended;
        // And once more from the start: one that was replaced meanwhile may be at a place that was passed.
        after = isLast ? "" : String(last);
      }
    },

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
    ask,

    // Text is compared byte by byte, whatever the database's collation takes for the same.
    steps: [
      (table, comment) => [
        `CREATE TABLE ${table} (
          version bigint NOT NULL,
          created_at bigint NOT NULL,
          touched_at bigint NOT NULL,
          expires_at bigint NOT NULL,
          sweep_at bigint NOT NULL,
          used_period integer NOT NULL GENERATED ALWAYS AS ((touched_at >> 20)::integer) STORED,
          handle text COLLATE "C" PRIMARY KEY,
          secret_hash text COLLATE "C" NOT NULL,
          user_id text COLLATE "C",
          payload text COLLATE "C" NOT NULL
        ) WITH (fillfactor = 90)`,
        `CREATE INDEX ON ${table} (sweep_at)`,
        `CREATE INDEX ON ${table} (used_period)`,
        `CREATE INDEX ON ${table} (user_id) WHERE user_id IS NOT NULL`,
        `COMMENT ON TABLE ${table} IS '${comment}'`,
      ],
      // By which a write whose reply was lost is known again, see `writeIds`.
      (table, comment) => [
        `ALTER TABLE ${table} ADD COLUMN write_id bigint NOT NULL DEFAULT 0`,
        `COMMENT ON TABLE ${table} IS '${comment}'`,
      ],
    ],

    async look(client, table) {
      // The catalogue is named in FROM, so that the statement locks it: only then does PostgreSQL look up anew whether there is a table,
      // which it may remember otherwise from before it waited for the advisory lock.
      const { rows } = await ask(
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
        // Without a sync the last commits, up to three times wal_writer_delay, end with the server's process or its machine.
        durable: synchronous === "off" || fsync === "off" ? "process-crash" : "power-loss",
      };
    },

    /** In one transaction, under an advisory lock. (`IF NOT EXISTS` alone lets two of them collide in the catalogue.) */
    async exclusively(client, table, work) {
      await ask(client, "BEGIN");
      try {
        // The limits of queries are not meant for building an index, or for waiting until another process has built it.
        await ask(client, "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '10s', true)");
        await ask(client, "SELECT pg_advisory_xact_lock(hashtext('sojourn'), hashtext(:table))", {
          table: table.quoted,
        });
        await work();
        await ask(client, "COMMIT");
      } catch (error) {
        // If this fails too, the connection is broken, and what counts is why.
        await ask(client, "ROLLBACK").catch(() => {});
        throw error;
      }
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
    opened: "connect",
    release: (client) => client.release(false),
    discard: (client) => client.release(true),
    explain,
    isDuplicate,
  };
}

/** Values stay in PostgreSQL's text format. */
const raw: PostgresQuery["types"] = { getTypeParser: () => (value) => value };

function ownStatements(table: string) {
  return {
    delete: `WITH removed AS (DELETE FROM ${table} WHERE handle = :handle RETURNING expires_at)
      SELECT FROM removed WHERE expires_at > :now`,

    /** What is not due for a look is unexpired, as an index alone tells; the few others are looked at. */
    countAll: `SELECT (SELECT count(*) FROM ${table} WHERE sweep_at > :now) +
      (SELECT count(*) FROM ${table} WHERE sweep_at <= :now AND expires_at > :now) -
      (SELECT count(*) FROM ${table} WHERE ${IS_NOTE} AND expires_at > :now)`,

    /**
     * Looks at what is due to be looked at: removes it if it expired, else notes when to look again. Rows that someone else has locked, a
     * touch or another sweep, are left to them; the others are locked first, and what is locked is their newest state.
     */
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

/** `pg` decodes binary values as UTF-8, which numbers are not, and no query can ask for text again. */
export function refuseBinary(settings: unknown): void {
  if (Object(settings).binary) {
    throw new TypeError("PostgresStore: needs a pool without binary: true, with which pg damages numbers");
  }
}
