import { type Clock, systemClock } from "../core/clock.ts";
import type { SojournError } from "../core/errors.ts";
import {
  discard,
  type MysqlCallbackPool,
  type MysqlConnection,
  type MysqlPool,
  type MysqlQuery,
  openPool,
} from "./mysql/client.ts";
import { failureOf, isDuplicate } from "./mysql/failures.ts";
import { affectedBy, bytesOf, recordOf, rowsOf, storedOf } from "./mysql/rows.ts";
import { inspect, migrate, type Place, qualified } from "./mysql/schema.ts";
import { statements } from "./mysql/statements.ts";
import { checkedLimit, decodeCursor, nextPage } from "./paging.ts";
import { Connections, type Driver } from "./sql/connections.ts";
import { checkedName, checkedNumber } from "./sql/names.ts";
import { givenPool, ownPool, type PoolSource } from "./sql/pools.ts";
import { checkLengths, wholeMs } from "./sql/records.ts";
import { writeIds } from "./sql/write-ids.ts";
import {
  type IndexedStore,
  leaveTombstone,
  type ReplaceResult,
  type SessionPage,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "./store.ts";

export type { MysqlCallbackPool, MysqlConnection, MysqlPool, MysqlQuery } from "./mysql/client.ts";

/** What {@link MysqlStore} can be told. */
export interface MysqlStoreOptions {
  /** Name of the table. Default `"sojourn_sessions"`. */
  table?: string | undefined;
  /** The database of the table. Default: the connection's own. */
  schema?: string | undefined;
  /** Whether to make the table where it is missing, and to bring an older one up to date. Default `true`. */
  createTable?: boolean | undefined;
  /** Of the pool that is made for a URL. Default 10. */
  maxConnections?: number | undefined;
  /** After how many milliseconds a call fails, the wait for a connection included. Default 2,000. */
  timeoutMs?: number | undefined;
  /** Default: the machine's time. */
  clock?: Clock | undefined;
}

/** Rows in one statement of a sweep or of a sign-out of everyone: a few milliseconds. */
const BATCH = 500;
/** Before the first session of a list: later than any use. */
const TOP = { touchedAt: Number.MAX_SAFE_INTEGER, handle: "" };

/**
 * Sessions in MySQL 8 or newer, or in MariaDB 10.6 or newer, in an InnoDB table. Every operation on a session is one statement,
 * atomic by itself, and a second one only to tell why the first did nothing; no transaction stays open.
 *
 * The table is made at first use. A server that is down then, or later, fails the calls that need it and nothing else.
 *
 * @param poolOrUrl a pool of the package `mysql2` or `mysql2/promise`, with autocommit, which `close` leaves alone; or a URL, for
 * a pool of the store's own. TLS is verified, the server's name too, where the URL asks for it (`?ssl=true`).
 * @throws TypeError for an impossible option. Its methods throw a {@link SojournError}: `STORE_UNAVAILABLE`, `STORE_TIMEOUT`,
 * `STORE_FULL`, `STORE_CORRUPT`, `STORE_CLOSED`. None holds a value of a row or a credential.
 * @example
 * app.use(session({ store: new MysqlStore(process.env.MYSQL_URL) }));
 */
export class MysqlStore implements IndexedStore {
  readonly #clock: Clock;
  readonly #connections: Connections<MysqlConnection>;
  readonly #statements: ReturnType<typeof statements>;
  readonly #nextWriteId = writeIds();
  #durable: StoreCapabilities["durable"] = "power-loss";

  constructor(poolOrUrl: string | MysqlPool | MysqlCallbackPool, options: MysqlStoreOptions = {}) {
    const { schema, createTable = true, clock = systemClock } = options;
    const name = checkedName(options.table ?? "sojourn_sessions", "MysqlStore: table");
    if (schema !== undefined) checkedName(schema, "MysqlStore: schema");
    const timeoutMs = checkedNumber(options.timeoutMs ?? 2_000, "MysqlStore: timeoutMs", 600_000);
    const maxConnections = checkedNumber(options.maxConnections ?? 10, "MysqlStore: maxConnections", 10_000);
    const source =
      typeof poolOrUrl === "string"
        ? ownPool(checkedUrl(poolOrUrl), openPool({ url: poolOrUrl, maxConnections, timeoutMs }))
        : givenPool(promised(poolOrUrl));
    this.#clock = clock;
    this.#statements = statements(qualified(schema, name));
    this.#connections = new Connections(this.#driver(source, { schema, name }, createTable), clock, timeoutMs);
  }

  /**
   * `durable` is what the server does by default until the first call has asked. Where `innodb_flush_log_at_trx_commit` is not 1, an
   * acknowledged write survives the application's crash, and not certainly the database's or its machine's.
   */
  get capabilities(): Readonly<StoreCapabilities> {
    return { durable: this.#durable, shared: true, atomicUpdate: true, indexed: true };
  }

  async load(handle: string): Promise<SessionRecord | undefined> {
    const [row] = await this.#rows(this.#statements.load([bytesOf(handle), this.#now()]));
    return row === undefined ? undefined : recordOf(row);
  }

  async create(handle: string, record: SessionRecord): Promise<boolean> {
    const writeId = this.#nextWriteId();
    const { key, values: columns } = newRow(handle, record);
    const values = [...columns, writeId];
    const insert = this.#statements.insert([key, ...values]);
    const replace = this.#statements.replaceExpired([...values, key, this.#now(), writeId]);
    return this.#connections.run(
      async (connection) => {
        try {
          await connection.execute(insert);
          return true;
        } catch (error) {
          if (!isDuplicate(error)) throw error;
          const [result] = await connection.execute(replace);
          return affectedBy(result) > 0;
        }
      },
      // Where somebody else has the handle now, the first try may have come before, and been ended.
      (created) => created,
    );
  }

  async update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    const key = bytesOf(handle);
    const secretHash = bytesOf(record.secretHash);
    checkLengths({ secretHash: secretHash.length });
    const now = this.#now();
    const which = [key, expectedVersion, now];
    const writeId = this.#nextWriteId();
    const query =
      record.expiresAt <= now
        ? this.#statements.end(which)
        : this.#statements.update([...numbersOf(record), secretHash, bytesOf(record.payload), writeId, ...which]);
    const found = this.#statements.found([key, now]);
    return this.#connections.run<UpdateResult>(
      async (connection) => {
        const [result] = await connection.execute(query);
        if (affectedBy(result) > 0) return "ok";
        const [row] = rowsOf((await connection.execute(found))[0]);
        if (row === undefined) return "gone";
        return Number(row[0]) === writeId ? "ok" : "conflict";
      },
      // Otherwise the first try may have been done, and somebody else come after it, or it has ended the session itself.
      (outcome) => outcome === "ok",
    );
  }

  async touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    const now = this.#now();
    const key = bytesOf(handle);
    const query = this.#statements.touch([wholeMs(touchedAt), wholeMs(expiresAt), key, now]);
    const found = this.#statements.found([key, now]);
    return this.#connections.run(async (connection) => {
      const [result] = await connection.execute(query);
      if (affectedBy(result) > 0) return true;
      // A pool may have been told to count what changed instead of what was found.
      return rowsOf((await connection.execute(found))[0]).length > 0;
    });
  }

  async delete(handle: string): Promise<boolean> {
    const key = bytesOf(handle);
    const query = this.#statements.delete([key, this.#now()]);
    const expired = this.#statements.deleteExpired([key]);
    return this.#connections.run(async (connection) => {
      const [result] = await connection.execute(query);
      if (affectedBy(result) > 0) return true;
      await connection.execute(expired);
      return false;
    });
  }

  async replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    // A statement of its own, because one can't change two rows in two ways, and a transaction would take four.
    if (tombstone !== undefined) await leaveTombstone(this, tombstone);
    const now = this.#now();
    const key = bytesOf(handle);
    const { key: newKey, values } = newRow(newHandle, record);
    const query = this.#statements.replace([newKey, ...values, key, expectedVersion, now]);
    const found = this.#statements.found([key, now]);
    const isOwn = this.#statements.isOwn([newKey, bytesOf(record.secretHash)]);
    return this.#connections.run<ReplaceResult>(async (connection) => {
      try {
        const [result] = await connection.execute(query);
        if (affectedBy(result) > 0) return "ok";
      } catch (error) {
        if (isDuplicate(error)) return "taken";
        throw error;
      }
      if (rowsOf((await connection.execute(found))[0]).length > 0) return "conflict";
      // Done by this call before, whose reply was lost?
      const [own] = await connection.execute(isOwn);
      return rowsOf(own).length > 0 ? "ok" : "gone";
    });
  }

  /** One page, one statement. Of a user: costs the user's sessions. Of everyone: those of the page. */
  async list(query: { userId?: string; cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor) ?? TOP;
    const used = wholeMs(start.touchedAt);
    const place = [this.#now(), used, used, bytesOf(start.handle)];
    const rows = await this.#rows(
      query.userId === undefined
        ? this.#statements.listAll(limit + 1)(place)
        : this.#statements.listUser(limit + 1)([bytesOf(query.userId), ...place]),
    );
    const found = rows.map(storedOf);
    return { sessions: found.slice(0, limit), ...nextPage(found, limit) };
  }

  /** In statements of 500 rows. Sessions that begin meanwhile may stay; after an error, what was done is done. */
  async deleteAll(query: { userId?: string; except?: string }): Promise<number> {
    const inRanges = query.userId === undefined ? await this.#deleteInRanges(query.except) : 0;
    const ended = inRanges + (await this.#deleteAll(query, true));
    // What had expired by this process's clock may be alive by another's.
    await this.#deleteAll(query, false);
    return ended;
  }

  /** Of everyone: reads an index, a second for some millions of sessions. */
  async count(query: { userId?: string } = {}): Promise<number> {
    const { userId } = query;
    const [row] = await this.#rows(
      userId === undefined
        ? this.#statements.countAll([this.#now(), this.#now()])
        : this.#statements.countUser([bytesOf(userId), this.#now()]),
    );
    return Number(row?.[0]);
  }

  /** In statements of 500 rows. */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    for (let pruned = 0; ; ) {
      const size = Math.min(BATCH, limit - pruned);
      const removed = await this.#affect(this.#statements.prune(size)([this.#now()]));
      pruned += removed;
      if (removed < size || pruned >= limit) return pruned;
    }
  }

  /** Waits for what is under way. A pool that was handed over stays open. */
  close(): Promise<void> {
    return this.#connections.close();
  }

  async #deleteAll({ userId, except }: { userId?: string; except?: string }, unexpired: boolean): Promise<number> {
    const spared = except === undefined ? null : bytesOf(except);
    const whose = userId === undefined ? [] : [bytesOf(userId)];
    const query = this.#statements.deleteSome(userId !== undefined, unexpired, BATCH);
    for (let ended = 0; ; ) {
      const removed = await this.#affect(query([...whose, this.#now(), spared]));
      ended += removed;
      if (removed < BATCH) return ended;
    }
  }

  /**
   * Everyone's, but for the last few and for what gets another handle meanwhile. A statement that begins at the first row walks over all
   * that was deleted and not yet purged: the time would grow with the square of the sessions.
   */
  async #deleteInRanges(except: string | undefined): Promise<number> {
    const spared = except === undefined ? null : bytesOf(except);
    let after: Buffer = Buffer.alloc(0);
    for (let ended = 0; ; ) {
      const [row] = await this.#rows(this.#statements.boundary(BATCH)([after]));
      const last = row?.[0];
      if (!Buffer.isBuffer(last)) return ended;
      const range = [after, last, this.#now(), spared];
      ended += await this.#affect(this.#statements.deleteRange(true)(range));
      await this.#affect(this.#statements.deleteRange(false)(range));
      after = last;
    }
  }

  #driver(source: PoolSource<MysqlPool>, place: Place, createTable: boolean): Driver<MysqlConnection> {
    return {
      async open() {
        await source.open();
      },
      async connect() {
        const connection = await (await source.open()).getConnection();
        // A connection that breaks while it is in use says so twice: by the statement's error, and by this event.
        connection.on("error", ignore);
        return connection;
      },
      identity: innermost,
      watch: (onNew) => source.on("connection", (connection) => onNew(innermost(connection))),
      release(connection) {
        connection.release();
        connection.removeListener("error", ignore);
      },
      discard,
      failure: (error) => failureOf(error, source.redact),
      isPrepared: async (connection) => {
        const { isPrepared, durable } = await inspect(connection, place, createTable);
        this.#durable = durable;
        return isPrepared;
      },
      prepare: (connection) => migrate(connection, place),
      end: () => source.end(),
    };
  }

  #rows(query: MysqlQuery): Promise<(readonly unknown[])[]> {
    return this.#connections.run(async (connection) => rowsOf((await connection.execute(query))[0]));
  }

  #affect(query: MysqlQuery): Promise<number> {
    return this.#connections.run(async (connection) => affectedBy((await connection.execute(query))[0]));
  }

  #now(): number {
    return wholeMs(this.#clock.now());
  }
}

/** In the order of the columns. */
function newRow(handle: string, record: SessionRecord) {
  const key = bytesOf(handle);
  const secretHash = bytesOf(record.secretHash);
  const userId = record.userId === null ? null : bytesOf(record.userId);
  checkLengths({ handle: key.length, secretHash: secretHash.length, userId: userId?.length ?? 0 });
  return { key, values: [...numbersOf(record), secretHash, userId, bytesOf(record.payload)] };
}

/** In the order of the columns. */
function numbersOf(record: SessionRecord): number[] {
  return [record.version, wholeMs(record.createdAt), wholeMs(record.touchedAt), wholeMs(record.expiresAt)];
}

function ignore(): void {}

/** Promises are put around a connection each time that it is given out. */
function innermost(connection: object): object {
  const inner: unknown = "connection" in connection ? connection.connection : connection;
  return typeof inner === "object" && inner !== null ? inner : connection;
}

function checkedUrl(url: string): string {
  if (/^(mysql|mariadb):\/\//.test(url) && URL.canParse(url)) return url;
  throw new TypeError("MysqlStore: the URL must begin with mysql:// or mariadb:// and be valid; escape its password");
}

function promised(pool: MysqlPool | MysqlCallbackPool): MysqlPool {
  if (typeof pool === "object" && pool !== null) {
    // A single connection has promises too, and the pools of `mysql` and of a cluster's part call back instead.
    const found: unknown = "promise" in pool && typeof pool.promise === "function" ? pool.promise() : pool;
    if (isPool(found)) return found;
  }
  throw new TypeError(
    'MysqlStore: the first argument must be a URL or a pool of the package "mysql2", createPool(…); createConnection(…) makes one connection only',
  );
}

function isPool(pool: unknown): pool is MysqlPool {
  if (typeof pool !== "object" || pool === null || !("getConnection" in pool)) return false;
  return typeof pool.getConnection === "function" && pool.getConnection.length === 0;
}
