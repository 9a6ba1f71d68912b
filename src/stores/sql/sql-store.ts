import {
  type Admission,
  type AdmissionResult,
  type IndexedStore,
  leaveTombstone,
  type ReplaceResult,
  type SessionPage,
  type SessionQuery,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../../contract/store.ts";
import { type Clock, systemClock } from "../../contract/time.ts";
import { checkedAdmission } from "../admission.ts";
import { checkedLimit, pageOf, startOf } from "../paging.ts";
import { checkedQuery } from "../query.ts";
import { admit } from "./admission.ts";
import { Changes } from "./changes.ts";
import { Connections } from "./connections.ts";
import type { Result, SqlConnection, SqlDialect, Values } from "./dialect.ts";
import type { PoolSource } from "./pools.ts";
import { checkedName, recordOf, storedOf, valuesOf, wholeMs, writeIds } from "./records.ts";
import { BATCH_SIZE, type Statements } from "./statements.ts";

/** Options for every SQL store. */
export interface SqlStoreOptions {
  /** Name of the table. Default `"sojourn_sessions"`. Letters, digits and `_`, at most 63. */
  table?: string | undefined;
  /** Schema of the table. Default: the connection's own. */
  schema?: string | undefined;
  /** Whether to create a missing table, and to migrate an older one. Default `true`. */
  createTable?: boolean | undefined;
  /** Size of the pool that the store makes for a URL. Default 10. */
  maxConnections?: number | undefined;
  /** Milliseconds until a call fails, including its wait for a connection. Default 2,000. */
  timeoutMs?: number | undefined;
  /** Default: the system clock. */
  clock?: Clock | undefined;
}

/** @throws TypeError that names the option */
export function checkedOptions(store: string, options: SqlStoreOptions) {
  const { schema, createTable = true, clock = systemClock } = options;
  const name = checkedName(options.table ?? "sojourn_sessions", `${store}: table`);
  if (schema !== undefined) checkedName(schema, `${store}: schema`);
  const integer = (option: "timeoutMs" | "maxConnections", value: number, max: number): number => {
    if (Number.isSafeInteger(value) && value >= 1 && value <= max) return value;
    throw new TypeError(`${store}: ${option} must be a whole number from 1 to ${max}`);
  };
  const timeoutMs = integer("timeoutMs", options.timeoutMs ?? 2_000, 600_000);
  const maxConnections = integer("maxConnections", options.maxConnections ?? 10, 10_000);
  return { schema, name, createTable, clock, timeoutMs, maxConnections };
}

/**
 * Stores sessions in a SQL database. The dialect holds everything that differs between databases.
 * Each change is one atomic statement. A second one, if any, only finds out why nothing changed.
 */
export class SqlStore<P, C extends SqlConnection> implements IndexedStore {
  readonly #clock: Clock;
  readonly #dialect: SqlDialect<P, C>;
  readonly #connections: Connections<P, C>;
  readonly #table: string;
  readonly #statements: Statements;
  readonly #changes: Changes<C>;
  readonly #nextWriteId = writeIds();

  protected constructor(
    dialect: SqlDialect<P, C>,
    source: PoolSource<P>,
    { schema, name, ...options }: ReturnType<typeof checkedOptions>,
  ) {
    const quote = (part: string) => `${dialect.quote}${part}${dialect.quote}`;
    this.#clock = options.clock;
    this.#dialect = dialect;
    this.#table = schema === undefined ? quote(name) : `${quote(schema)}.${quote(name)}`;
    this.#statements = dialect.statements(this.#table);
    this.#changes = new Changes(dialect, this.#statements);
    this.#connections = new Connections({
      ...options,
      dialect,
      source,
      table: { schema, name, quoted: this.#table },
    });
  }

  /**
   * Reports what the store guarantees. `durable` is `"power-loss"` until the first call has read
   * the server's settings. If the server doesn't sync each commit it is `"process-crash"`: a crash
   * of the database may then lose an acknowledged write. The settings are `synchronous_commit` and
   * `fsync` (PostgreSQL) or `innodb_flush_log_at_trx_commit` (MySQL).
   */
  get capabilities(): Readonly<StoreCapabilities> {
    return { durable: this.#connections.durable, shared: true, atomicUpdate: true, indexed: true };
  }

  async load(handle: string): Promise<SessionRecord | undefined> {
    const { rows } = await this.#run(this.#statements.load, this.#unexpired(handle));
    return rows[0] && recordOf(this.#dialect, rows[0]);
  }

  async create(handle: string, record: SessionRecord): Promise<boolean> {
    const values = this.#insertOf(handle, record);
    return this.#connections.run(
      (connection) => this.#changes.insert(connection, values),
      // If the handle is in use now, the first attempt may still have created a session.
      (created) => created,
    );
  }

  async update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    const writeId = this.#nextWriteId();
    const content = valuesOf(this.#dialect, handle, record);
    const values = { ...content, ...this.#unexpired(handle), expectedVersion, writeId };
    const change = record.expiresAt <= values.now ? this.#statements.end : this.#statements.update;
    return this.#connections.run<UpdateResult>(
      async (connection) => {
        const found = await this.#changes.change(connection, change, values);
        if (found === "changed") return "ok";
        if (found === undefined) return "gone";
        return Number(found[1]) === writeId ? "ok" : "conflict";
      },
      // The first attempt may have ended the session, or another write may have followed it.
      (result) => result === "ok",
    );
  }

  async touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    const values = { ...this.#unexpired(handle), touchedAt: wholeMs(touchedAt), expiresAt: wholeMs(expiresAt) };
    return this.#connections.run(
      // MySQL may be configured to count changed rows instead of found ones, so a row is enough.
      async (connection) => (await this.#changes.change(connection, this.#statements.touch, values)) !== undefined,
    );
  }

  async delete(handle: string): Promise<boolean> {
    const values = this.#unexpired(handle);
    const { delete: unexpired, deleteExpired } = this.#statements;
    return this.#connections.run(async (connection) => {
      if ((await this.#dialect.query(connection, unexpired, values)).affected > 0) return true;
      if (deleteExpired !== undefined) await this.#dialect.query(connection, deleteExpired, values);
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
    if (tombstone !== undefined && this.#statements.replaceWithTombstone === undefined) {
      await leaveTombstone(this, tombstone);
    }
    const { text, values } = this.#replaceOf(newHandle, record, { handle, expectedVersion, tombstone });
    return this.#connections.run<ReplaceResult>(async (connection) => {
      const result = await this.#changes.replace(connection, values, text);
      if (result !== "gone") return result;
      // An earlier attempt may have done it. No two records share a secret's hash.
      const own = await this.#dialect.query(connection, this.#statements.isOwn, values);
      return own.rows.length > 0 ? "ok" : "gone";
    });
  }

  async admit(given: Admission): Promise<AdmissionResult> {
    const admission = checkedAdmission(given);
    const { handle, ...record } = admission.session;
    const insert = this.#insertOf(handle, record);
    const { tombstone, ...old } = admission.replaces ?? { handle, expectedVersion: 0 };
    const replace = this.#replaceOf(handle, record, { ...old, tombstone });
    // As if an earlier tombstone had expired, which it overwrites.
    const note = tombstone && { ...this.#insertOf(tombstone.handle, tombstone), now: Number.MAX_SAFE_INTEGER };
    const tools = {
      dialect: this.#dialect,
      statements: this.#statements,
      changes: this.#changes,
      table: this.#table,
    };
    return this.#connections.run((connection) =>
      admit(tools, connection, { admission, now: insert.now, insert, replace, note }),
    );
  }

  /**
   * Lists one page, with one statement. For a user or link it costs their sessions, for everyone
   * the page and expired sessions in between; everyone's are in the order of their handles.
   *
   * @throws TypeError for a cursor that no list returned, and for a limit below 1
   */
  async list(query: SessionQuery & { cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = startOf(query.cursor);
    const { rows } = await this.#run(this.#statements[`list${chosenBy(query)}`], {
      ...this.#chosen(query),
      usedAt: wholeMs(start.touchedAt),
      after: this.#dialect.encode(start.handle),
      limit: limit + 1,
    });
    const found = rows.map((row) => storedOf(this.#dialect, row));
    return pageOf(found, limit);
  }

  /** Deletes sessions, 500 in a statement. An error undoes none of them. New sessions may stay. */
  async deleteAll({ except, ...query }: SessionQuery & { except?: string }): Promise<number> {
    const spared = except === undefined ? null : this.#dialect.encode(except);
    return this.#dialect.deleteAll(
      (text, values) => this.#run(text, values),
      this.#table,
      () => ({ ...this.#chosen(query), except: spared }),
    );
  }

  /** Counts sessions. For everyone it reads an index: a second for some millions of sessions. */
  async count(query: SessionQuery = {}): Promise<number> {
    const { rows } = await this.#run(this.#statements[`count${chosenBy(query)}`], this.#chosen(query));
    return Number(rows[0]?.[0]);
  }

  /** Deletes expired records, in statements of 500 rows. @throws TypeError for a limit below 1 */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    for (let pruned = 0; ; ) {
      const size = Math.min(BATCH_SIZE, limit - pruned);
      const { rows, affected } = await this.#run(this.#statements.prune, { now: this.#now(), limit: size });
      const [removed = affected, examined = affected] = rows[0] ?? [];
      pruned += Number(removed);
      if (Number(examined) < size || pruned >= limit) return pruned;
    }
  }

  /** Waits for the calls in progress, then ends the pool if the store made it. */
  close(): Promise<void> {
    return this.#connections.close();
  }

  #run(text: string, values: Values): Promise<Result> {
    return this.#connections.run((connection) => this.#dialect.query(connection, text, values));
  }

  #unexpired(handle: string) {
    return { handle: this.#dialect.encode(handle), now: this.#now() };
  }

  #insertOf(handle: string, record: SessionRecord) {
    return { ...valuesOf(this.#dialect, handle, record), now: this.#now(), writeId: this.#nextWriteId() };
  }

  #replaceOf(
    newHandle: string,
    record: SessionRecord,
    old: { handle: string; expectedVersion: number; tombstone: StoredSession | undefined },
  ) {
    const { tombstone, expectedVersion } = old;
    const { replace, replaceWithTombstone } = this.#statements;
    const { handle: newKey, ...content } = valuesOf(this.#dialect, newHandle, record);
    const note = tombstone && prefixed("note", valuesOf(this.#dialect, tombstone.handle, tombstone));
    const values = { ...content, ...this.#unexpired(old.handle), expectedVersion, newHandle: newKey, ...note };
    return { text: (note && replaceWithTombstone) ?? replace, values };
  }

  #chosen(query: SessionQuery): Values {
    const { userId, link } = checkedQuery(query);
    const now = this.#now();
    if (userId !== undefined) return { now, userId: this.#dialect.encode(userId) };
    return link === undefined ? { now } : { now, link: this.#dialect.encode(link) };
  }

  #now(): number {
    return wholeMs(this.#clock.now());
  }
}

function chosenBy({ userId, link }: SessionQuery): "User" | "Link" | "All" {
  if (userId !== undefined) return "User";
  return link === undefined ? "All" : "Link";
}

/** Renames `{ handle: … }` to `{ noteHandle: … }`. */
function prefixed(prefix: string, values: Values): Values {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`${prefix}${name.charAt(0).toUpperCase()}${name.slice(1)}`, value]),
  );
}
