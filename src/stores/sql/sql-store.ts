import {
  type IndexedStore,
  leaveTombstone,
  type ReplaceResult,
  type SessionPage,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../../contract/store.ts";
import { type Clock, systemClock } from "../../contract/time.ts";
import { checkedLimit, decodeCursor, nextPage } from "../paging.ts";
import { Connections, type Driver } from "./connections.ts";
import { type Answer, BATCH, type SqlConnection, type SqlDialect, type Table, type Values } from "./dialect.ts";
import { failureOf } from "./failures.ts";
import { checkedName, checkedNumber } from "./names.ts";
import type { PoolSource } from "./pools.ts";
import { recordOf, storedOf, valuesOf, wholeMs } from "./records.ts";
import { inspect, migrate } from "./schema.ts";
import { statements } from "./statements.ts";
import { writeIds } from "./write-ids.ts";

/** What every store over SQL can be told. */
export interface SqlStoreOptions {
  /** Name of the table. Default `"sojourn_sessions"`. */
  table?: string | undefined;
  /** Where the table is. */
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

/** @throws TypeError for an impossible option of `store`. */
export function checkedOptions(store: string, options: SqlStoreOptions) {
  const { schema, createTable = true, clock = systemClock } = options;
  const name = checkedName(options.table ?? "sojourn_sessions", `${store}: table`);
  if (schema !== undefined) checkedName(schema, `${store}: schema`);
  const timeoutMs = checkedNumber(options.timeoutMs ?? 2_000, `${store}: timeoutMs`, 600_000);
  const maxConnections = checkedNumber(options.maxConnections ?? 10, `${store}: maxConnections`, 10_000);
  return { schema, name, createTable, clock, timeoutMs, maxConnections };
}

type Row = readonly unknown[];

/** How often a change is tried that tells nothing. */
const LOOKS = 2;
/** Before the first session of a list: later than any use. */
const TOP = { touchedAt: Number.MAX_SAFE_INTEGER, handle: "" };

/**
 * Sessions in a SQL database. What differs between databases is in their dialects; this is the rest. A change is one statement, atomic by itself, and
 * a second one only tells why it did nothing.
 */
export class SqlStore<P, C extends SqlConnection> implements IndexedStore {
  readonly #clock: Clock;
  readonly #dialect: SqlDialect<P, C>;
  readonly #connections: Connections<C>;
  readonly #table: Table;
  readonly #statements;
  readonly #nextWriteId = writeIds();
  #durable: StoreCapabilities["durable"] = "power-loss";

  protected constructor(
    dialect: SqlDialect<P, C>,
    source: PoolSource<P>,
    { schema, name, createTable, clock, timeoutMs }: ReturnType<typeof checkedOptions>,
  ) {
    const quoted = [schema ?? [], name].flat().map((part) => `${dialect.quote}${part}${dialect.quote}`);
    this.#clock = clock;
    this.#dialect = dialect;
    this.#table = { schema, name, quoted: quoted.join(".") };
    this.#statements = { ...statements(this.#table.quoted, dialect.fragments), ...dialect.own(this.#table.quoted) };
    this.#connections = new Connections(this.#driver(source, createTable), clock, timeoutMs);
  }

  /**
   * `durable` is what the server does by default until the first call has asked. Where it doesn't sync each commit (`synchronous_commit` or `fsync`
   * off, `innodb_flush_log_at_trx_commit` not 1), an acknowledged write survives the application's crash, and not certainly the database's.
   */
  get capabilities(): Readonly<StoreCapabilities> {
    return { durable: this.#durable, shared: true, atomicUpdate: true, indexed: true };
  }

  async load(handle: string): Promise<SessionRecord | undefined> {
    const { rows } = await this.#run(this.#statements.load, this.#unexpired(handle));
    return rows[0] && recordOf(this.#dialect, rows[0]);
  }

  async create(handle: string, record: SessionRecord): Promise<boolean> {
    const values = { ...valuesOf(this.#dialect, handle, record), now: this.#now(), writeId: this.#nextWriteId() };
    return this.#connections.run(
      async (connection) => {
        try {
          return (await this.#dialect.ask(connection, this.#statements.insert, values)).affected > 0;
        } catch (error) {
          if (!this.#dialect.isDuplicate(error)) throw error;
          return (await this.#dialect.ask(connection, this.#statements.replaceExpired, values)).affected > 0;
        }
      },
      // Where somebody else has the handle now, the first try may have come before, and been ended.
      (created) => created,
    );
  }

  async update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    const writeId = this.#nextWriteId();
    const values = {
      ...valuesOf(this.#dialect, handle, record),
      ...this.#unexpired(handle),
      expectedVersion,
      writeId,
    };
    const change = record.expiresAt <= values.now ? this.#statements.end : this.#statements.update;
    return this.#connections.run<UpdateResult>(
      async (connection) => {
        const { isDone, found } = await this.#change(connection, change, values);
        if (isDone) return "ok";
        if (found === undefined) return "gone";
        return Number(found[1]) === writeId ? "ok" : "conflict";
      },
      // Otherwise the first try may have been done, and somebody else come after it, or it has ended the session itself.
      (outcome) => outcome === "ok",
    );
  }

  async touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    const values = { ...this.#unexpired(handle), touchedAt: wholeMs(touchedAt), expiresAt: wholeMs(expiresAt) };
    return this.#connections.run(async (connection) => {
      const { isDone, found } = await this.#change(connection, this.#statements.touch, values);
      // A pool may have been told to count what changed instead of what was found.
      return isDone || found !== undefined;
    });
  }

  async delete(handle: string): Promise<boolean> {
    const values = this.#unexpired(handle);
    const { delete: unexpired, deleteExpired } = this.#statements;
    return this.#connections.run(async (connection) => {
      if ((await this.#dialect.ask(connection, unexpired, values)).affected > 0) return true;
      if (deleteExpired !== undefined) await this.#dialect.ask(connection, deleteExpired, values);
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
    const { replaceAndNote } = this.#statements;
    if (tombstone !== undefined && replaceAndNote === undefined) await leaveTombstone(this, tombstone);
    const { handle: newKey, ...content } = valuesOf(this.#dialect, newHandle, record);
    const values = { ...content, ...this.#unexpired(handle), expectedVersion, newHandle: newKey };
    const note = tombstone && prefixed("note", valuesOf(this.#dialect, tombstone.handle, tombstone));
    const change = (note && replaceAndNote) ?? this.#statements.replace;
    return this.#connections.run<ReplaceResult>(async (connection) => {
      try {
        const { isDone, found } = await this.#change(connection, change, { ...values, ...note });
        if (isDone) return "ok";
        if (found !== undefined) return "conflict";
      } catch (error) {
        if (this.#dialect.isDuplicate(error)) return "taken";
        throw error;
      }
      // Done by this call before, whose reply was lost? No two records have one secret's hash.
      const own = await this.#dialect.ask(connection, this.#statements.isOwn, values);
      return own.rows.length > 0 ? "ok" : "gone";
    });
  }

  /** One page, one statement. Of a user: costs the user's sessions. Of everyone: those of the page; in PostgreSQL, of the 17 minutes that it reaches into. */
  async list(query: { userId?: string; cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor) ?? TOP;
    const { rows } = await this.#run(
      query.userId === undefined ? this.#statements.listAll : this.#statements.listUser,
      {
        ...this.#whose(query.userId),
        usedAt: wholeMs(start.touchedAt),
        after: this.#dialect.encode(start.handle),
        limit: limit + 1,
      },
    );
    const found = rows.map((row) => storedOf(this.#dialect, row));
    return { sessions: found.slice(0, limit), ...nextPage(found, limit) };
  }

  /** In statements of 500 rows. Sessions that begin meanwhile may stay; after an error, what was done is done. */
  async deleteAll({ userId, except }: { userId?: string; except?: string }): Promise<number> {
    const spared = except === undefined ? null : this.#dialect.encode(except);
    return this.#dialect.deleteAll(
      (text, values) => this.#run(text, values),
      this.#table.quoted,
      () => ({ ...this.#whose(userId), except: spared }),
    );
  }

  /** Of everyone: reads an index, a second for some millions of sessions. */
  async count({ userId }: { userId?: string } = {}): Promise<number> {
    const text = userId === undefined ? this.#statements.countAll : this.#statements.countUser;
    const { rows } = await this.#run(text, this.#whose(userId));
    return Number(rows[0]?.[0]);
  }

  /** In statements of 500 rows. Any number of processes may prune at once. */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    for (let pruned = 0; ; ) {
      const size = Math.min(BATCH, limit - pruned);
      const { rows, affected } = await this.#run(this.#statements.prune, { now: this.#now(), limit: size });
      const [removed = affected, looked = affected] = rows[0] ?? [];
      pruned += Number(removed);
      if (Number(looked) < size || pruned >= limit) return pruned;
    }
  }

  /** Waits for what is under way. A pool that was handed over stays open. */
  close(): Promise<void> {
    return this.#connections.close();
  }

  #driver(source: PoolSource<P>, createTable: boolean): Driver<C> {
    const dialect = this.#dialect;
    return {
      async open() {
        await source.open();
      },
      async connect() {
        const connection = await dialect.connect(await source.open());
        // A connection that breaks while it is in use says so twice: by the statement's error, and by this event.
        connection.on("error", ignore);
        return connection;
      },
      identity: dialect.identity,
      watch: (onNew) => source.on(dialect.opened, (connection) => onNew(dialect.identity(connection))),
      release(connection) {
        dialect.release(connection);
        // Afterwards, so that the pool's own listener is there before this one goes.
        connection.removeListener("error", ignore);
      },
      discard: dialect.discard,
      failure: (error) => failureOf(error, dialect.explain, source.redact),
      isPrepared: async (connection) => {
        const { isPrepared, durable } = await inspect(dialect, connection, this.#table, createTable);
        this.#durable = durable;
        return isPrepared;
      },
      prepare: (connection) => migrate(dialect, connection, this.#table),
      end: () => source.end(),
    };
  }

  #run(text: string, values: Values): Promise<Answer> {
    return this.#connections.run((connection) => this.#dialect.ask(connection, text, values));
  }

  /** Whether a change was made; if not, the version and the last write of the row that is there instead. */
  async #change(connection: C, change: string, values: Values): Promise<{ isDone: boolean; found?: Row | undefined }> {
    const { ask, fragments } = this.#dialect;
    for (let look = 1; ; look++) {
      const { rows, affected } = await ask(connection, change, values);
      if (fragments.explained === undefined) {
        if (affected > 0) return { isDone: true };
        return { isDone: false, found: (await ask(connection, this.#statements.found, values)).rows[0] };
      }
      const [changed, version, writeId] = rows[0] ?? [];
      if (Number(changed) > 0) return { isDone: true };
      if (version === null) return { isDone: false };
      // Otherwise the row was as expected when the statement began, and changed before it could be locked: a second look tells how.
      const tells = "expectedVersion" in values && Number(version) !== values["expectedVersion"];
      if (tells || look === LOOKS) return { isDone: false, found: [version, writeId] };
    }
  }

  #unexpired(handle: string) {
    return { handle: this.#dialect.encode(handle), now: this.#now() };
  }

  #whose(userId: string | undefined): Values {
    const now = this.#now();
    return userId === undefined ? { now } : { now, userId: this.#dialect.encode(userId) };
  }

  #now(): number {
    return wholeMs(this.#clock.now());
  }
}

function ignore(): void {}

/** `{ noteHandle: … }` of `{ handle: … }`. */
function prefixed(prefix: string, values: Values): Values {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`${prefix}${name.charAt(0).toUpperCase()}${name.slice(1)}`, value]),
  );
}
