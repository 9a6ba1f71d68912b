import { createRequire } from "node:module";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { tools } from "../../scripts/cached-tools.ts";
import { type SqliteDatabase, SqliteStore } from "../../src/stores/sqlite.ts";
import { storeConformance } from "../../src/testing/index.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

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

storeConformance({
  name: "SqliteStore on connections of node:sqlite that give rows as arrays, and whole numbers as BigInt",
  async open(clock) {
    const path = inFolder();
    const connection = () => new DatabaseSync(path, { returnArrays: true, readBigInts: true });
    return [new SqliteStore(connection(), { clock }), new SqliteStore(connection(), { clock })];
  },
  remove: () => remove(),
});

/** better-sqlite3, which the first run installs. Its types are a package of their own, and say less of a store's needs than ours. */
let BetterSqlite: (new (path: string) => SqliteDatabase) | undefined;
let noBetterSqlite: string | undefined;
try {
  BetterSqlite = createRequire(join(tools(join(import.meta.dirname, "better-sqlite3")), "package.json"))(
    "better-sqlite3",
  );
} catch (error) {
  noBetterSqlite = `better-sqlite3 can't be installed: ${error instanceof Error ? error.message : error}`;
}

storeConformance({
  name: "SqliteStore on connections of better-sqlite3",
  skip: noBetterSqlite,
  async open(clock) {
    if (BetterSqlite === undefined) throw new Error(noBetterSqlite);
    const path = inFolder();
    return [new SqliteStore(new BetterSqlite(path), { clock }), new SqliteStore(new BetterSqlite(path), { clock })];
  },
  remove: () => remove(),
});
