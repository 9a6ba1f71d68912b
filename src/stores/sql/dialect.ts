import type { StoreCapabilities } from "../../contract/store.ts";
import type { Explanation } from "./failures.ts";

/** What a parameter is bound to. */
export type Value = string | number | Buffer | null;

/** The values of a statement's parameters, `:name` in its text. */
export type Values = Readonly<Record<string, Value>>;

/** What a statement answers. */
export interface Answer {
  /** In the order of the columns. */
  rows: readonly (readonly unknown[])[];
  /** How many rows it has found and changed. */
  affected: number;
}

/** Runs one statement on a connection of its own. */
type Ask = (text: string, values: Values) => Promise<Answer>;

/** A table, and how to name it in a statement. */
export interface Table {
  /** `undefined`: where the connection looks. */
  schema: string | undefined;
  name: string;
  quoted: string;
}

/** A connection that was checked out of a pool. */
export interface SqlConnection {
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** A step from one version of the schema to the next, which ends by giving the table its comment; they are only ever added. */
export type SchemaStep = (table: string, comment: string) => readonly string[];

/** What differs inside of statements that all databases have; what is optional is nothing where it is not given. */
export interface Fragments {
  /** The end of an insert that may find its handle taken; without it the database refuses, see `isDuplicate`. @param anew what it sets then */
  orReplaceExpired?(table: string, anew: string): string;
  /**
   * A change as a statement that also tells why it did nothing: how many rows it changed, the `version` and the `write_id` of the row `unexpired` or
   * `NULL`. Without it another statement asks.
   */
  explained?(change: string, unexpired: string, also?: string): string;
  /** What `explained` does besides when a session is replaced: inserts a tombstone, `:noteHandle`, `:noteVersion`… Without it that is written before. */
  noted?(table: string): string;
  /** A column that other databases don't have, and what it is set to. */
  extra?: { column: string; created: string; updated: string };
  /** What `listAll` adds to its conditions, and to its order, so that an index answers it. */
  reached?: string;
  order?: string;
}

/** Statements that each database writes in its own way. */
interface OwnStatements {
  /** Removes the record, so that one that was unexpired `:now` counts as affected. */
  delete: string;
  /** Asked after a `delete` of nothing, where that removes only what is unexpired. */
  deleteExpired?: string;
  /** How many unexpired records there are, but for notes. Of `:now`. */
  countAll: string;
  /** Removes at most `:limit` records that expired by `:now`. Where it answers with a row: how many it has removed, and how many it has looked at. */
  prune: string;
}

/**
 * All that the store has to know of a database and its driver.
 *
 * @typeParam P a pool
 * @typeParam C a connection
 */
export interface SqlDialect<P, C extends SqlConnection> {
  /** What stands around a name. */
  readonly quote: string;
  readonly fragments: Fragments;
  own(table: string): OwnStatements;
  /**
   * Ends sessions in statements of {@link BATCH} rows, `:userId`'s or everyone's, and not that under `:except`, which may be `null`. What is given a
   * new handle meanwhile ends too.
   *
   * @returns how many of them were unexpired
   */
  deleteAll(ask: Ask, table: string, values: () => Values): Promise<number>;

  /** Text as the columns hold it, compared byte by byte. */
  encode(text: string): string | Buffer;
  decode(value: unknown): string;
  ask(connection: C, text: string, values?: Values): Promise<Answer>;

  readonly steps: readonly SchemaStep[];
  /**
   * The first look at a server: the table's comment, `undefined` where there is no such table, and what a commit survives.
   *
   * @throws SojournError where the server or the connection is set up in a way that sessions can't be kept
   */
  look(connection: C, table: Table): Promise<{ comment: string | undefined; durable: StoreCapabilities["durable"] }>;
  /** Runs `work` while no other process does the same with this table. */
  exclusively(connection: C, table: Table, work: () => Promise<void>): Promise<void>;

  connect(pool: P): Promise<C>;
  /** What stays the same whenever the pool gives the connection out. */
  identity(connection: object): object;
  /** The pool's event for a new connection. */
  readonly opened: string;
  release(connection: C): void;
  /** Closes a connection at once, whatever it is doing. */
  discard(connection: C): void;
  /** What the server's error means; `undefined` for an error of the network. */
  explain(error: Error): Explanation | undefined;
  /** Whether a statement found its handle taken. */
  isDuplicate(error: unknown): boolean;
}

/** Rows in one statement of a sweep or of a sign-out of everyone: a few milliseconds. */
export const BATCH = 500;

/** A statement's text with its parameters as the driver wants them, and their names in that order. */
export function withParameters(text: string, mark: (name: string) => string): string {
  return text.replace(/(?<!:):([a-z]\w*)/gi, (_, name: string) => mark(name));
}
