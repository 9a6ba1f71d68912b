import { type Clock, systemClock } from "../core/clock.ts";
import { SojournError } from "../core/errors.ts";
import { checkedLimit, decodeCursor, nextPage } from "./paging.ts";
import { openPool, type PostgresClient, type PostgresPool, type PostgresQuery } from "./postgres/client.ts";
import { failureOf, isDuplicate } from "./postgres/failures.ts";
import { isTrue, recordOf, storable, storedOf } from "./postgres/rows.ts";
import { inspect, migrate, qualified } from "./postgres/schema.ts";
import { statements } from "./postgres/statements.ts";
import { Connections, type Driver } from "./sql/connections.ts";
import { checkedName, checkedNumber } from "./sql/names.ts";
import { givenPool, ownPool, type PoolSource } from "./sql/pools.ts";
import { checkLengths, wholeMs } from "./sql/records.ts";
import { writeIds } from "./sql/write-ids.ts";
import type {
  IndexedStore,
  ReplaceResult,
  SessionPage,
  SessionRecord,
  StoreCapabilities,
  StoredSession,
  UpdateResult,
} from "./store.ts";

export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./postgres/client.ts";

/** What {@link PostgresStore} can be told. */
export interface PostgresStoreOptions {
  /** Name of the table. Default `"sojourn_sessions"`. */
  table?: string | undefined;
  /** The PostgreSQL schema of the table. Default: the first one in the connection's `search_path`. */
  schema?: string | undefined;
  /** Whether to make the table where it is missing, and to bring an older one up to date. Default `true`. */
  createTable?: boolean | undefined;
  /**
   * Whether statements are prepared, once for each connection. Default `true`. `false` behind PgBouncer in transaction mode, where the next
   * statement may meet another server process.
   */
  prepare?: boolean | undefined;
  /** Of the pool that is made for a URL. Default 10. */
  maxConnections?: number | undefined;
  /** After how many milliseconds a call fails, the wait for a connection included. Default 2,000. */
  timeoutMs?: number | undefined;
  /** Default: the machine's time. */
  clock?: Clock | undefined;
}

/** Rows in one statement of a sweep or of a sign-out of everyone: a few milliseconds. */
const BATCH = 500;
/** How often a batch is tried again because sessions were replaced while it waited for them. */
const LOOKS = 100;
/** Before the first session of a list: later than any use. */
const TOP = { touchedAt: Number.MAX_SAFE_INTEGER, handle: "" };

/**
 * Sessions in PostgreSQL 14 or newer. Every operation on a session is one statement and one round trip, atomic by itself, so
 * any isolation level will do and no transaction stays open.
 *
 * The table is made at first use. A server that is down then, or later, fails the calls that need it and nothing else.
 *
 * @param poolOrUrl a pool of the package `pg`, which `close` leaves alone (give it `connectionTimeoutMillis`, `lock_timeout` and a
 * listener for `error`); or a URL, for a pool of the store's own. TLS is verified where the URL asks for it (`?sslmode=verify-full`).
 * @throws TypeError for an impossible option. Its methods throw a {@link SojournError}: `STORE_UNAVAILABLE`, `STORE_TIMEOUT`,
 * `STORE_FULL`, `STORE_CORRUPT`, `STORE_CLOSED`. None holds a value of a row or a credential.
 * @example
 * app.use(session({ store: new PostgresStore(process.env.DATABASE_URL) }));
 */
export class PostgresStore implements IndexedStore {
  readonly #clock: Clock;
  readonly #connections: Connections<PostgresClient>;
  readonly #statements: ReturnType<typeof statements>;
  readonly #nextWriteId = writeIds();
  #durable: StoreCapabilities["durable"] = "power-loss";

  constructor(poolOrUrl: string | PostgresPool, options: PostgresStoreOptions = {}) {
    const { schema, createTable = true, prepare = true, clock = systemClock } = options;
    const name = checkedName(options.table ?? "sojourn_sessions", "PostgresStore: table");
    if (schema !== undefined) checkedName(schema, "PostgresStore: schema");
    const table = qualified(schema, name);
    const timeoutMs = checkedNumber(options.timeoutMs ?? 2_000, "PostgresStore: timeoutMs", 600_000);
    const maxConnections = checkedNumber(options.maxConnections ?? 10, "PostgresStore: maxConnections", 10_000);
    const source =
      typeof poolOrUrl === "string"
        ? ownPool(
            checkedUrl(poolOrUrl),
            openPool({ url: poolOrUrl, maxConnections, timeoutMs, limitStatements: prepare }),
          )
        : givenPool(checkedPool(poolOrUrl));
    this.#clock = clock;
    this.#statements = statements(table, prepare);
    this.#connections = new Connections(this.#driver(source, table, createTable), clock, timeoutMs);
  }

  /**
   * `durable` is what PostgreSQL does by default until the first call has asked; with `synchronous_commit` or `fsync` off, an acknowledged
   * write survives the application's crash, and not certainly the database's.
   */
  get capabilities(): Readonly<StoreCapabilities> {
    return { durable: this.#durable, shared: true, atomicUpdate: true, indexed: true };
  }

  async load(handle: string): Promise<SessionRecord | undefined> {
    const rows = await this.#query(this.#statements.load([storable(handle), this.#now()]));
    return rows[0] === undefined ? undefined : recordOf(rows[0]);
  }

  async create(handle: string, record: SessionRecord): Promise<boolean> {
    const query = this.#statements.create([...newRow(handle, record), this.#now(), this.#nextWriteId()]);
    // Where somebody else has the handle now, the first try may have come before, and been ended.
    return this.#connections.run(
      async (client) => (await client.query(query)).rows.length > 0,
      (created) => created,
    );
  }

  async update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    const secretHash = storable(record.secretHash);
    checkLengths({ secretHash: Buffer.byteLength(secretHash) });
    const now = this.#now();
    const which = [storable(handle), expectedVersion, now];
    const query =
      record.expiresAt <= now
        ? this.#statements.end(which)
        : this.#statements.update([
            ...which,
            ...numbersOf(record),
            secretHash,
            storable(record.payload),
            this.#nextWriteId(),
          ]);
    return this.#connections.run(
      async (client) => {
        const outcome = outcomeOf((await client.query(query)).rows, expectedVersion);
        // The row was as expected when the statement began, and changed before it could be locked: a second look tells how.
        return outcome ?? outcomeOf((await client.query(query)).rows, expectedVersion) ?? "conflict";
      },
      // Otherwise the first try may have been done, and somebody else come after it, or it has ended the session itself.
      (outcome) => outcome === "ok",
    );
  }

  async touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    const values = [storable(handle), wholeMs(touchedAt), wholeMs(expiresAt), this.#now()];
    return (await this.#query(this.#statements.touch(values))).length > 0;
  }

  async delete(handle: string): Promise<boolean> {
    const rows = await this.#query(this.#statements.delete([storable(handle), this.#now()]));
    return isTrue(rows[0]?.[0]);
  }

  async replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    const values = [storable(handle), expectedVersion, this.#now(), ...newRow(newHandle, record)];
    const query =
      tombstone === undefined
        ? this.#statements.replace(values)
        : this.#statements.replaceAndNote([...values, ...newRow(tombstone.handle, tombstone)]);
    return this.#connections.run<ReplaceResult>(async (client) => {
      const look = async () => {
        const { rows } = await client.query(query);
        return isTrue(rows[0]?.[2]) ? "ok" : outcomeOf(rows, expectedVersion);
      };
      try {
        return (await look()) ?? (await look()) ?? "conflict";
      } catch (error) {
        if (isDuplicate(error)) return "taken";
        throw error;
      }
    });
  }

  /** One page, one statement. Of a user: costs the user's sessions. Of everyone: those of the 17 minutes that the page reaches into. */
  async list(query: { userId?: string; cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor) ?? TOP;
    const place = [wholeMs(start.touchedAt), storable(start.handle), limit + 1];
    const rows = await this.#query(
      query.userId === undefined
        ? this.#statements.listAll([this.#now(), Math.min(Math.floor(start.touchedAt / 2 ** 20), 0x7fffffff), ...place])
        : this.#statements.listUser([this.#now(), storable(query.userId), ...place]),
    );
    const found = rows.map(storedOf);
    return { sessions: found.slice(0, limit), ...nextPage(found, limit) };
  }

  /** In statements of 500 rows. Sessions that begin meanwhile may stay; after an error, what was done is done. */
  async deleteAll(query: { userId?: string; except?: string }): Promise<number> {
    const { userId, except } = query;
    const spared = except === undefined ? null : storable(except);
    let after = "";
    let looks = 0;
    for (let ended = 0; ; ) {
      const values = [this.#now(), after, spared, BATCH];
      const [row = []] = await this.#query(
        userId === undefined
          ? this.#statements.deleteAll(values)
          : this.#statements.deleteUser([...values, storable(userId)]),
      );
      ended += Number(row[1]);
      const missed = Number(row[0]) - Number(row[3]);
      if (missed > 0 && ++looks < LOOKS) continue;
      const isLast = Number(row[0]) < BATCH;
      if (isLast && after === "") return ended;
      // And once more from the start: one that was replaced meanwhile may be at a place that was passed.
      after = isLast ? "" : String(row[2]);
    }
  }

  /** Of everyone: reads an index, a second for some millions of sessions. */
  async count(query: { userId?: string } = {}): Promise<number> {
    const { userId } = query;
    const [row = []] = await this.#query(
      userId === undefined
        ? this.#statements.countAll([this.#now()])
        : this.#statements.countUser([this.#now(), storable(userId)]),
    );
    return Number(row[0]);
  }

  /** In statements of 500 rows. Any number of processes may prune at once: they don't wait for each other. */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    for (let pruned = 0; ; ) {
      const size = Math.min(BATCH, limit - pruned);
      const [row = []] = await this.#query(this.#statements.prune([this.#now(), size]));
      pruned += Number(row[0]);
      if (Number(row[1]) < size || pruned >= limit) return pruned;
    }
  }

  /** Waits for what is under way. A pool that was handed over stays open. */
  close(): Promise<void> {
    return this.#connections.close();
  }

  #driver(source: PoolSource<PostgresPool>, table: string, createTable: boolean): Driver<PostgresClient> {
    return {
      async open() {
        await source.open();
      },
      async connect() {
        const client = await (await source.open()).connect();
        try {
          refuseBinary(client);
        } catch (error) {
          release(client, true);
          throw error;
        }
        // A connection that breaks while it is in use says so twice: by the query's error, and by this event.
        client.on("error", ignore);
        return client;
      },
      identity: (client) => client,
      watch: (onNew) => source.on("connect", onNew),
      release: (client) => release(client, false),
      discard: (client) => release(client, true),
      failure: (error) => failureOf(error, source.redact),
      isPrepared: async (client) => {
        const { isPrepared, durable } = await inspect(client, table, createTable);
        this.#durable = durable;
        return isPrepared;
      },
      prepare: (client) => migrate(client, table),
      end: () => source.end(),
    };
  }

  #query(query: PostgresQuery): Promise<unknown[][]> {
    return this.#connections.run(async (client) => (await client.query(query)).rows);
  }

  #now(): number {
    return wholeMs(this.#clock.now());
  }
}

/** `undefined` where the statement's own two halves saw different things. */
function outcomeOf(rows: unknown[][], expectedVersion: number): UpdateResult | undefined {
  const [isDone, version] = rows[0] ?? [];
  if (isTrue(isDone)) return "ok";
  if (version === null) return "gone";
  return Number(version) === expectedVersion ? undefined : "conflict";
}

/** In the order of the columns. */
function newRow(handle: string, record: SessionRecord): (string | number | null)[] {
  const key = storable(handle);
  const secretHash = storable(record.secretHash);
  const userId = record.userId === null ? null : storable(record.userId);
  checkLengths({
    handle: Buffer.byteLength(key),
    secretHash: Buffer.byteLength(secretHash),
    userId: Buffer.byteLength(userId ?? ""),
  });
  return [key, ...numbersOf(record), secretHash, userId, storable(record.payload)];
}

/** In the order of the columns. */
function numbersOf(record: SessionRecord): number[] {
  return [record.version, wholeMs(record.createdAt), wholeMs(record.touchedAt), wholeMs(record.expiresAt)];
}

function ignore(): void {}

/** `pg` decodes binary values as UTF-8, which numbers are not, and no query can ask for text again. */
function refuseBinary(settings: unknown): void {
  if (Object(settings).binary) {
    throw new TypeError("PostgresStore: needs a pool without binary: true, with which pg damages numbers");
  }
}

function release(client: PostgresClient, destroy: boolean): void {
  client.release(destroy);
  // Afterwards, so that the pool's own listener is there before this one goes.
  client.removeListener("error", ignore);
}

function checkedUrl(url: string): string {
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return url;
  throw new TypeError(
    "PostgresStore: the URL must begin with postgres:// or postgresql:// and be valid; escape its password",
  );
}

function checkedPool(pool: PostgresPool): PostgresPool {
  if (typeof pool === "object" && pool !== null && typeof pool.connect === "function") {
    // A single connection, and the client of another database, connect too. Of those that can be asked something only pools count.
    const isAsked = ["query", "sendCommand", "call"].some((name) => name in pool);
    if (!isAsked || "totalCount" in pool) {
      refuseBinary("options" in pool ? pool.options : undefined);
      return pool;
    }
  }
  throw new TypeError(
    'PostgresStore: the first argument must be a URL or a Pool of the package "pg", new pg.Pool(…); a Client is one connection only',
  );
}
