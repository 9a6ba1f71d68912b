import type { SessionPage, SessionQuery, SessionRecord } from "../../contract/store.ts";
import { type Clock, setImmediate } from "../../contract/time.ts";
import { decodeCursor, Newest, nextPage, pageOf, startOf } from "../paging.ts";
import { checkedQuery } from "../query.ts";
import { storedOf } from "../sql/records.ts";
import { type SqliteValue, valuesOf } from "./database.ts";
import { codec, encode, type SqliteStatements } from "./statements.ts";

/** Rows that a list of everyone reads in one turn of the event loop. */
const SCAN_ROWS = 1_000;

/** Returns the statements for a user or a link, and its name; `undefined` for everyone's sessions. */
export function chosenBy(sql: SqliteStatements, query: SessionQuery) {
  const { userId, link } = checkedQuery(query);
  if (userId !== undefined) return { statements: sql.ofUser, name: encode(userId) };
  return link === undefined ? undefined : { statements: sql.ofLink, name: encode(link) };
}

/** Lists the sessions of a user, of a link, or of everyone. */
export class Listing {
  readonly #sql: SqliteStatements;
  readonly #clock: Clock;
  readonly #read: <T>(work: () => T) => T;

  constructor(sql: SqliteStatements, clock: Clock, read: <T>(work: () => T) => T) {
    this.#sql = sql;
    this.#clock = clock;
    this.#read = read;
  }

  /** Costs the sessions of the user or link. */
  chosen(
    { statements, name }: NonNullable<ReturnType<typeof chosenBy>>,
    cursor: string | undefined,
    limit: number,
  ): SessionPage {
    const { touchedAt, handle } = startOf(cursor);
    const values: SqliteValue[] = [name, this.#clock.now(), touchedAt, touchedAt, encode(handle), limit + 1];
    const rows = this.#read(() => statements.list.all(...values));
    return pageOf(
      rows.map((row) => storedOf(codec, valuesOf(row))),
      limit,
    );
  }

  /** Reads all sessions, a thousand in a turn of the event loop. */
  async everyone(
    cursor: string | undefined,
    limit: number,
    load: (handle: string) => SessionRecord | undefined,
  ): Promise<SessionPage> {
    const newest = new Newest(limit + 1, decodeCursor(cursor));
    const lastRow = this.lastRow();
    for (let after = 0; after < lastRow; await new Promise(setImmediate)) {
      const rows = this.#read(() => this.#sql.scan.all(after, lastRow, this.#clock.now(), SCAN_ROWS));
      if (rows.length === 0) break;
      for (const row of rows) {
        const [id, handle, touchedAt] = valuesOf(row);
        newest.offer({ handle: codec.decode(handle), touchedAt: codec.number(touchedAt) });
        after = codec.number(id);
      }
    }
    const sessions = newest.places.slice(0, limit).flatMap(({ handle }) => {
      const record = load(handle);
      return record === undefined ? [] : [{ handle, ...record }];
    });
    return { sessions, ...nextPage(newest.places, limit) };
  }

  lastRow(): number {
    return this.#read(() => Number(valuesOf(this.#sql.lastRow.get())[0] ?? 0));
  }
}
