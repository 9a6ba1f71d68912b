import type { StoreCapabilities } from "../../contract/store.ts";
import type { ServerError } from "./failures.ts";
import type { Codec, Value } from "./records.ts";
import type { Statements } from "./statements.ts";

/** Values by parameter name. A statement's text refers to them as `:name`. */
export type Values = Readonly<Record<string, Value>>;

export type Row = readonly unknown[];

export interface Result {
  rows: readonly Row[];
  /** Rows that the statement found and changed. */
  affected: number;
}

export interface Table {
  /** `undefined`: the connection's default. */
  schema: string | undefined;
  name: string;
  quoted: string;
}

/** A connection that was checked out of a pool. */
export interface SqlConnection {
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/**
 * Returns the statements that lead from one schema version to the next. The last one sets the
 * table's comment. Released steps never change; new ones are appended.
 */
export type SchemaStep = (table: string, comment: string) => readonly string[];

/** Describes a database and its driver to `SqlStore`, with its types of pools and connections. */
export interface SqlDialect<P, C extends SqlConnection> extends Codec {
  /** The character around a quoted name. */
  readonly quote: string;
  statements(table: string): Statements;
  /**
   * Deletes sessions in batches: those of `:userId` or `:link`, or everyone's; never the one under `:except`,
   * which may be `null`. Also deletes sessions that get a new handle in the meantime.
   *
   * @returns how many of them were unexpired
   */
  deleteAll(
    run: (text: string, values: Values) => Promise<Result>,
    table: string,
    values: () => Values,
  ): Promise<number>;
  query(connection: C, text: string, values?: Values): Promise<Result>;
  /**
   * Begins a transaction that only one connection at a time has for this user. Its reads see what
   * the transactions before it have committed.
   */
  beginForUser(connection: C, table: string, userId: string | Buffer, now: number): Promise<void>;
  /** Commits a transaction, or undoes it. */
  end(connection: C, how: "COMMIT" | "ROLLBACK"): Promise<void>;

  readonly steps: readonly SchemaStep[];
  /**
   * Reads the table's comment (`undefined`: no such table) and what a commit survives.
   *
   * @throws SojournError when the server or the connection is configured unsafely
   */
  inspect(connection: C, table: Table): Promise<{ comment: string | undefined; durable: StoreCapabilities["durable"] }>;
  /** Runs `work` while no other process migrates this table. */
  withMigrationLock(connection: C, table: Table, work: () => Promise<void>): Promise<void>;

  connect(pool: P): Promise<C>;
  /** Returns the object that stays the same each time the pool hands out the connection. */
  identity(connection: object): object;
  /** The pool's event for a new connection. */
  readonly connectEvent: string;
  release(connection: C): void;
  /** Closes a connection immediately, even in the middle of a statement. */
  discard(connection: C): void;
  /** Interprets an error that the server reported. `undefined`: the error is the network's. */
  explain(error: Error): ServerError | undefined;
  /** Whether a statement failed because its handle is in use. */
  isDuplicate(error: unknown): boolean;
}
