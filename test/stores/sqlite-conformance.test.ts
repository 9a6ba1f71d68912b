import { createRequire } from "node:module";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type SqliteDatabase, SqliteStore, type SqliteValue } from "../../src/stores/sqlite.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { temporaryFolder } from "./temporary-folder.ts";

let remove = () => {};

function inFolder(): string {
  const temporary = temporaryFolder();
  remove = temporary.remove;
  return join(temporary.folder, "sessions.db");
}

storeConformance({
  name: "SqliteStore on a path",
  async open(clock) {
    const path = inFolder();
    return [new SqliteStore(path, { clock }), new SqliteStore(path, { clock })];
  },
  remove: () => remove(),
});

storeConformance({
  name: "SqliteStore in memory",
  async open(clock) {
    const store = new SqliteStore(":memory:", { clock });
    return [store, store];
  },
});

storeConformance({
  name: "SqliteStore on connections of node:sqlite",
  async open(clock) {
    const path = inFolder();
    return [new SqliteStore(new DatabaseSync(path), { clock }), new SqliteStore(new DatabaseSync(path), { clock })];
  },
  remove: () => remove(),
});

/**
 * Only what the two libraries have in common, with the answers of `better-sqlite3`: methods that insist on their own
 * receiver, `exec` and `close` returning the database, rows that are ordinary objects.
 */
class BetterShaped implements SqliteDatabase {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
  }

  exec(sql: string): this {
    this.#database.exec(sql);
    return this;
  }

  prepare(sql: string) {
    const statement = this.#database.prepare(sql);
    return {
      run: (...parameters: SqliteValue[]) => statement.run(...parameters),
      get: (...parameters: SqliteValue[]) => copied(statement.get(...parameters)),
      all: (...parameters: SqliteValue[]) => statement.all(...parameters).map(copied),
    };
  }

  close(): this {
    this.#database.close();
    return this;
  }
}

function copied(row: object | undefined): object | undefined {
  return row === undefined ? undefined : { ...row };
}

storeConformance({
  name: "SqliteStore on connections shaped like better-sqlite3's",
  async open(clock) {
    const path = inFolder();
    return [new SqliteStore(new BetterShaped(path), { clock }), new SqliteStore(new BetterShaped(path), { clock })];
  },
  remove: () => remove(),
});

const openBetter = betterSqlite();

storeConformance({
  name: "SqliteStore on connections of better-sqlite3",
  skip: openBetter === undefined ? "better-sqlite3 is not installed" : undefined,
  async open(clock) {
    const path = inFolder();
    if (openBetter === undefined) throw new Error("skipped");
    return [new SqliteStore(openBetter(path), { clock }), new SqliteStore(openBetter(path), { clock })];
  },
  remove: () => remove(),
});

/** Where someone has installed it: it takes a compiler, so the tests don't depend on it. */
function betterSqlite(): ((path: string) => SqliteDatabase) | undefined {
  try {
    const Database: new (path: string) => SqliteDatabase = createRequire(import.meta.url)("better-sqlite3");
    return (path) => new Database(path);
  } catch {
    return undefined;
  }
}
