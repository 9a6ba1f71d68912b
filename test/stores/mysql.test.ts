import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import mysql from "mysql2/promise";
import type { Admission } from "../../src/contract/store.ts";
import { mysql as dialect } from "../../src/stores/mysql/dialect.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import type { SchemaStep } from "../../src/stores/sql/dialect.ts";
import { migrate } from "../../src/stores/sql/schema.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { dropMysqlTables, mysqlLockWaits, mysqlQuery, sharedMysql } from "../support/servers/mariadb.ts";
import { tableName } from "../support/servers/private-process.ts";
import { recordAt } from "../support/sql-records.ts";
import { failureOf, keepsLimit, sqlChecks } from "./sql-checks.ts";

const { url, skip } = sharedMysql;
const clock = new ManualClock();

const { steps } = dialect;
const placeOf = (name: string) => ({ schema: undefined, name, quoted: `\`${name}\`` });

const used: string[] = [];
function newTable(): string {
  const table = tableName();
  used.push(table);
  return table;
}

const pools: mysql.Pool[] = [];
function newPool(config: mysql.PoolOptions = {}): mysql.Pool {
  const pool = mysql.createPool({ uri: url, ...config });
  pools.push(pool);
  return pool;
}

after(async () => {
  for (const pool of pools) await pool.end();
  if (skip === undefined) await dropMysqlTables(url, ...used);
});

sqlChecks({
  className: "MysqlStore",
  module: "stores/mysql.ts",
  client: "mysql2",
  url,
  skip,
  open: (at, options) => new MysqlStore(at, options),
  query: (...statements) => mysqlQuery(url, ...statements),
  dropTables: (...tables) => dropMysqlTables(url, ...tables),
});

describe("MysqlStore alone", { skip }, () => {
  test("an older table is brought up to date, once, by whoever comes first, and keeps its rows", async () => {
    const table = newTable();
    const store = new MysqlStore(url, { table, clock });
    await store.create("handle", recordAt(clock.now()));
    const next: SchemaStep = (name, comment) => [`ALTER TABLE ${name} ADD COLUMN label INT, COMMENT='${comment}'`];
    const pool = newPool();
    const connections = await Promise.all([1, 2, 3, 4].map(() => pool.getConnection()));
    const newer = { ...dialect, steps: [...steps, next] };
    await Promise.all(connections.map((connection) => migrate(newer, connection, placeOf(table))));
    for (const connection of connections) connection.release();
    deepEqual(await mysqlQuery(url, `SELECT version, label FROM ${table}`), [{ version: 1, label: null }]);
    const [status] = await mysqlQuery(url, `SHOW TABLE STATUS LIKE '${table}'`);
    equal(status?.["Comment"], "Sojourn sessions, schema 4");

    // What is running goes on; what starts says that it is too old.
    equal((await store.load("handle"))?.version, 1);
    await store.close();
    const old = new MysqlStore(url, { table, clock });
    await rejects(old.load("handle"), {
      code: "STORE_UNAVAILABLE",
      message: /has schema 4, and this version of sojourn knows 3/,
    });
    await old.close();
  });

  test("a table of schema 1 goes on with its rows", async () => {
    const table = newTable();
    const connection = await newPool().getConnection();
    await migrate({ ...dialect, steps: steps.slice(0, 1) }, connection, placeOf(table));
    connection.release();
    const now = clock.now();
    await mysqlQuery(
      url,
      `INSERT INTO ${table} (handle, version, created_at, touched_at, expires_at, secret_hash, payload)
        VALUES ('handle', 1, ${now}, ${now}, ${now + 60_000}, 'hash', 'payload')`,
    );
    const store = new MysqlStore(url, { table, clock });
    const record = await store.load("handle");
    ok(record !== undefined && record.payload === "payload");
    equal(await store.update("handle", { ...record, version: 2 }, 1), "ok");
    equal(await store.update("handle", { ...record, version: 2 }, 1), "conflict");
    equal(await store.create("linked", { ...record, link: "sid" }), true);
    equal(await store.count({ link: "sid" }), 1);
    await store.close();
  });

  test("a migration that fails lets the next one begin", async () => {
    const table = newTable();
    const pool = newPool();
    const [first, second] = await Promise.all([pool.getConnection(), pool.getConnection()]);
    const broken = { ...dialect, steps: [() => ["CREATE NONSENSE"]] };
    await rejects(migrate(broken, first, placeOf(table)), /syntax/);
    await migrate(dialect, second, placeOf(table));
    first.release();
    second.release();
    const store = new MysqlStore(pool, { table, clock });
    equal(await store.load("handle"), undefined);
    await store.close();
  });

  test("a replacement that meets an uncommitted change waits for its outcome and tells which it was", async () => {
    const table = newTable();
    const store = new MysqlStore(url, { table, clock, timeoutMs: 10_000 });
    const now = clock.now();
    const other = await mysql.createConnection(url);
    const columns = "version, created_at, touched_at, expires_at, secret_hash, payload";
    const values = `1, ${now}, ${now}, ${now + 60_000}, 'x', 'x'`;
    const outcomes = {
      [`UPDATE ${table} SET version = 2 WHERE handle = 'handle'`]: { COMMIT: "conflict", ROLLBACK: "ok" },
      [`DELETE FROM ${table} WHERE handle = 'handle'`]: { COMMIT: "gone", ROLLBACK: "ok" },
      [`UPDATE ${table} SET handle = 'another' WHERE handle = 'handle'`]: { COMMIT: "gone", ROLLBACK: "ok" },
      [`UPDATE ${table} SET touched_at = touched_at + 1 WHERE handle = 'handle'`]: { COMMIT: "ok", ROLLBACK: "ok" },
      [`INSERT INTO ${table} (handle, ${columns}) VALUES ('fresh', ${values})`]: { COMMIT: "taken", ROLLBACK: "ok" },
    };
    for (const [change, ends] of Object.entries(outcomes)) {
      for (const [end, expected] of Object.entries(ends)) {
        await store.deleteAll({});
        await store.create("handle", recordAt(now));
        await other.query("START TRANSACTION");
        await other.query(change);
        const replacing = store.replace("handle", 1, "fresh", recordAt(now, { secretHash: "fresh" }));
        await mysqlLockWaits(url, table, 1);
        await other.query(end);
        equal(await replacing, expected, `${change}; ${end}`);
        const fresh = await store.load("fresh");
        equal(fresh?.secretHash, { ok: "fresh", taken: "x" }[expected], change);
      }
    }
    await other.end();
    await store.close();
  });

  test("all of a user's sessions end, also one that is given a new handle meanwhile", async () => {
    const table = newTable();
    const store = new MysqlStore(url, { table, clock, timeoutMs: 10_000 });
    const now = clock.now();
    const other = await mysql.createConnection(url);
    for (const handle of ["a", "z"]) {
      for (const name of ["f", "m", "t"]) await store.create(name, recordAt(now, { userId: "user" }));
      await other.query("START TRANSACTION");
      await other.query(`UPDATE ${table} SET handle = '${handle}' WHERE handle = 'm'`);
      const ending = store.deleteAll({ userId: "user" });
      await mysqlLockWaits(url, table, 1);
      await other.query("COMMIT");
      equal(await ending, 3);
      equal(await store.count(), 0);
    }
    await other.end();
    await store.close();
  });

  test("an update that meets an uncommitted change waits for its outcome and tells which it was", async () => {
    const table = newTable();
    const store = new MysqlStore(url, { table, clock, timeoutMs: 10_000 });
    const now = clock.now();
    const other = await mysql.createConnection(url);
    const outcomes = {
      [`UPDATE ${table} SET version = 2 WHERE handle = 'handle'`]: { COMMIT: "conflict", ROLLBACK: "ok" },
      [`UPDATE ${table} SET expires_at = ${now} WHERE handle = 'handle'`]: { COMMIT: "gone", ROLLBACK: "ok" },
      [`DELETE FROM ${table} WHERE handle = 'handle'`]: { COMMIT: "gone", ROLLBACK: "ok" },
      [`UPDATE ${table} SET touched_at = touched_at + 1 WHERE handle = 'handle'`]: { COMMIT: "ok", ROLLBACK: "ok" },
    };
    for (const [change, ends] of Object.entries(outcomes)) {
      for (const [end, expected] of Object.entries(ends)) {
        for (const expiresAt of [now + 60_000, 0]) {
          await store.delete("handle");
          await store.create("handle", recordAt(now));
          await other.query("START TRANSACTION");
          await other.query(change);
          const updating = store.update("handle", recordAt(now, { version: 2, expiresAt }), 1);
          await mysqlLockWaits(url, table, 1);
          await other.query(end);
          equal(await updating, expected, `${change}; ${end}`);
        }
      }
    }
    await other.end();
    await store.close();
  });

  test("one statement an operation, and a second one only to tell why the first did nothing", async () => {
    const table = newTable();
    const pool = newPool({ connectionLimit: 1 });
    const store = new MysqlStore(pool, { table, clock });
    const now = clock.now();
    const record = recordAt(now);
    const executed = async (): Promise<number> => {
      const [rows] = await pool.query<mysql.RowDataPacket[]>("SHOW SESSION STATUS LIKE 'Com_stmt_execute'");
      return Number(rows[0]?.["Value"]);
    };
    const counts: Record<string, number> = {};
    const count = async (name: string, work: () => Promise<unknown>): Promise<void> => {
      const before = await executed();
      await work();
      counts[name] = (await executed()) - before;
    };
    await store.load("handle");
    await count("load", () => store.load("handle"));
    await count("create", () => store.create("handle", record));
    await count("create, taken", () => store.create("handle", record));
    await count("update", () => store.update("handle", { ...record, version: 2 }, 1));
    await count("update, conflict", () => store.update("handle", { ...record, version: 2 }, 1));
    await count("update, gone", () => store.update("unknown", { ...record, version: 2 }, 1));
    await count("replace", () => store.replace("handle", 2, "fresh", { ...record, secretHash: "fresh" }));
    await count("replace, gone", () => store.replace("handle", 2, "newer", { ...record, secretHash: "newer" }));
    await count("replace, conflict", () => store.replace("fresh", 2, "newer", { ...record, secretHash: "newer" }));
    await store.replace("fresh", 1, "handle", { ...record, version: 2 });
    await count("touch", () => store.touch("handle", now + 1, now + 60_000));
    await count("list", () => store.list({ userId: "user" }));
    await count("count", () => store.count());
    await count("prune", () => store.prune());
    await count("update to an end", () => store.update("handle", { ...record, version: 3, expiresAt: 0 }, 2));
    await store.create("handle", record);
    await count("delete", () => store.delete("handle"));
    const admit = (handle: string, replaces?: Admission["replaces"]) => {
      const session = { ...record, handle, userId: "admitted", secretHash: handle };
      return store.admit({ session, limit: 1, exceed: "revoke-oldest", ...(replaces && { replaces }) });
    };
    await count("admit", () => admit("a"));
    await count("admit, revoking", () => admit("b"));
    await count("admit, replacing", () => admit("c", { handle: "b", expectedVersion: 1 }));
    await count("deleteAll", () => store.deleteAll({ userId: "user" }));
    deepEqual(counts, {
      load: 1,
      create: 1,
      "create, taken": 2,
      update: 1,
      "update, conflict": 2,
      "update, gone": 2,
      replace: 1,
      "replace, gone": 3,
      "replace, conflict": 2,
      touch: 1,
      list: 1,
      count: 1,
      prune: 1,
      "update to an end": 1,
      delete: 1,
      // With those that can't be prepared, START TRANSACTION and COMMIT.
      admit: 3,
      "admit, revoking": 4,
      "admit, replacing": 3,
      deleteAll: 2,
    });
    await store.close();
  });

  test("under any isolation level a user's limit is kept", async () => {
    for (const level of ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]) {
      const pool = newPool({ connectionLimit: 4 });
      pool.pool.on("connection", (connection) => connection.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${level}`));
      const store = new MysqlStore(pool, { table: newTable(), clock, timeoutMs: 20_000 });
      await keepsLimit(store, clock.now(), level);
      await store.close();
    }
  });

  test("lists and sweeps go by an index", async () => {
    const table = newTable();
    const store = new MysqlStore(url, { table, clock });
    const record = recordAt(clock.now());
    for (let n = 0; n < 400; n += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => store.create(`h${n + i}`, { ...record, touchedAt: n + i })),
      );
    }
    await mysqlQuery(url, `ANALYZE TABLE ${table}`);
    const plans = {
      PRIMARY: `SELECT handle, payload FROM ${table} WHERE handle > 'h' AND (handle < '!' OR handle >= '"')
        AND expires_at > 1 ORDER BY handle LIMIT 11`,
      by_link: `SELECT handle, payload FROM ${table} WHERE link = 'h' AND expires_at > 1`,
      by_user: `SELECT handle FROM ${table} WHERE user_id = 'h' AND expires_at > 1 UNION ALL
        SELECT handle FROM ${table} WHERE handle IN ('a', 'b') AND expires_at > 1`,
      by_expiry: `DELETE FROM ${table} WHERE expires_at <= 1 ORDER BY expires_at, handle LIMIT 10`,
    };
    const [server] = await mysqlQuery(url, "SELECT VERSION() AS version");
    // MySQL 9 draws a tree unless it is asked for rows, which MariaDB can't be.
    const explain = String(server?.["version"]).includes("MariaDB") ? "EXPLAIN" : "EXPLAIN FORMAT=TRADITIONAL";
    for (const [key, statement] of Object.entries(plans)) {
      const [plan] = await mysqlQuery(url, `${explain} ${statement}`);
      equal(plan?.["key"], key);
      ok(!String(plan?.["Extra"]).includes("filesort"), inspect(plan));
    }
    await store.close();
  });

  test("connections that would not commit are refused", async () => {
    const pool = newPool({ connectionLimit: 1 });
    await pool.query("SET autocommit = 0");
    const store = new MysqlStore(pool, { table: newTable(), clock });
    await rejects(store.load("handle"), { code: "STORE_UNAVAILABLE", message: /autocommit off/ });
    await store.close();
  });

  test("no error holds a value of a row, whatever the server says", async () => {
    const table = newTable();
    const store = new MysqlStore(url, { table, clock });
    await store.load("handle");
    await mysqlQuery(url, `ALTER TABLE ${table} ADD CONSTRAINT short CHECK (length(payload) < 20)`);
    const secret = recordAt(clock.now(), { payload: "PAYLOAD-".repeat(5), secretHash: "SECRET", userId: "USER" });
    const checked = await failureOf(store.create("HANDLE", secret));
    await mysqlQuery(
      url,
      `CREATE TRIGGER ${table}_t BEFORE INSERT ON ${table} FOR EACH ROW
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = NEW.payload`,
    );
    const raised = await failureOf(store.create("HANDLE", { ...secret, payload: "PAYLOAD" }));
    for (const error of [checked, raised]) {
      equal(error.code, "STORE_UNAVAILABLE");
      const text = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
      ok(!/PAYLOAD|SECRET|USER|HANDLE/.test(text), text);
    }
    await store.close();
  });

  test("a session larger than the server's packets is too large, and the connection goes on", async () => {
    const [row] = await mysqlQuery(url, "SELECT @@max_allowed_packet AS most");
    const most = Number(row?.["most"]);
    const store = new MysqlStore(url, { table: newTable(), clock, timeoutMs: 20_000 });
    const error = await failureOf(store.create("handle", recordAt(clock.now(), { payload: "x".repeat(most) })));
    ok(error.code === "TOO_LARGE" || error.code === "STORE_UNAVAILABLE", inspect(error));
    equal(await store.load("handle"), undefined);
    await store.close();
  });

  test("close leaves an application's pool open", async () => {
    const pool = newPool({ connectionLimit: 2 });
    const store = new MysqlStore(pool, { table: newTable(), clock });
    await store.load("handle");
    await store.close();
    const [rows] = await pool.query<mysql.RowDataPacket[]>("SELECT 1 AS one");
    equal(rows[0]?.["one"], 1);
  });
});
