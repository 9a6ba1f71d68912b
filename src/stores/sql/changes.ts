import type { ReplaceResult } from "../../contract/store.ts";
import type { Row, SqlConnection, SqlDialect, Values } from "./dialect.ts";
import type { Statements } from "./statements.ts";

/** Runs the statements that change one session, on a connection of the caller's. */
export class Changes<C extends SqlConnection> {
  readonly #dialect: SqlDialect<never, C>;
  readonly #statements: Statements;

  constructor(dialect: SqlDialect<never, C>, statements: Statements) {
    this.#dialect = dialect;
    this.#statements = statements;
  }

  /** Inserts a record. Returns `false` if its handle is in use. */
  async insert(connection: C, values: Values): Promise<boolean> {
    const { query, isDuplicate } = this.#dialect;
    const { insert, replaceExpired } = this.#statements;
    try {
      return (await query(connection, insert, values)).affected > 0;
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      return (await query(connection, replaceExpired, values)).affected > 0;
    }
  }

  /** Runs `replace` or `replaceWithTombstone`. */
  async replace(connection: C, values: Values, text: string): Promise<ReplaceResult> {
    try {
      const found = await this.change(connection, text, values);
      if (found === "changed") return "ok";
      return found === undefined ? "gone" : "conflict";
    } catch (error) {
      if (this.#dialect.isDuplicate(error)) return "taken";
      throw error;
    }
  }

  /** Runs a change. If that did nothing, returns `version` and `write_id` of the unexpired row. */
  async change(connection: C, text: string, values: Values): Promise<"changed" | Row | undefined> {
    const { query } = this.#dialect;
    if ((await query(connection, text, values)).affected > 0) return "changed";
    return (await query(connection, this.#statements.found, values)).rows[0];
  }
}
