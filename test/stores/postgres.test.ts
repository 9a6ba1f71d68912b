import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import pg from "pg";
import { SojournError } from "../../src/contract/errors.ts";
import { postgres } from "../../src/stores/postgres/dialect.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import type { SchemaStep } from "../../src/stores/sql/dialect.ts";
import { migrate } from "../../src/stores/sql/schema.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { type Reply, tokenOf } from "../support/client.ts";
import { put, startSite } from "../support/express-site.ts";
import { dropTables, postgresQuery, sharedPostgres } from "../support/servers/postgres.ts";
import { eventually, tableName } from "../support/servers/private-process.ts";
import { FaultProxy } from "../support/servers/proxy.ts";
import { recordAt } from "../support/sql-records.ts";
import { failureOf, keepsLimit, sqlChecks } from "./sql-checks.ts";

const { url, skip } = sharedPostgres;
const clock = new ManualClock();

const dialect = postgres(true);
const { steps } = dialect;
const placeOf = (name: string) => ({ schema: undefined, name, quoted: `"${name}"` });

const used: string[] = [];
function newTable(): string {
  const table = tableName();
  used.push(table);
  return table;
}

const pools: pg.Pool[] = [];
function newPool(config: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, ...config });
  pool.on("error", () => {});
  pools.push(pool);
  return pool;
}

after(async () => {
  for (const pool of pools) await pool.end();
  if (skip === undefined) await dropTables(url, ...used);
});

sqlChecks({
  className: "PostgresStore",
  module: "stores/postgres.ts",
  client: "pg",
  url,
  skip,
  open: (at, options) => new PostgresStore(at, options),
  query: (...statements) => postgresQuery(url, ...statements),
  dropTables: (...tables) => dropTables(url, ...tables),
});

describe("PostgresStore alone", { skip }, () => {
  test("an older table is brought up to date, once, by whoever comes first, and keeps its rows", async () => {
    const table = newTable();
    const store = new PostgresStore(url, { table, clock });
    await store.create("handle", recordAt(clock.now()));
    const next: SchemaStep = (name, comment) => [
      `ALTER TABLE ${name} ADD COLUMN label text`,
      `COMMENT ON TABLE ${name} IS '${comment}'`,
    ];
    const pool = newPool({ max: 4 });
    const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect(), pool.connect()]);
    await Promise.all(
      clients.map((client) => migrate({ ...dialect, steps: [...steps, next] }, client, placeOf(table))),
    );
    for (const client of clients) client.release();
    const [row] = await postgresQuery(
      url,
      `SELECT version::int, label, obj_description('${table}'::regclass) FROM ${table}`,
    );
    deepEqual(row, { version: 1, label: null, obj_description: "Sojourn sessions, schema 4" });

    // What is running goes on; what starts says that it is too old.
    equal((await store.load("handle"))?.version, 1);
    await store.close();
    const old = new PostgresStore(url, { table, clock });
    await rejects(old.load("handle"), {
      code: "STORE_UNAVAILABLE",
      message: /has schema 4, and this version of sojourn knows 3/,
    });
    await old.close();
  });

  test("a table of schema 1 goes on with its rows", async () => {
    const table = newTable();
    const client = await newPool({ max: 1 }).connect();
    await migrate({ ...dialect, steps: steps.slice(0, 1) }, client, placeOf(table));
    client.release();
    const now = clock.now();
    await postgresQuery(
      url,
      `INSERT INTO ${table} (handle, version, created_at, touched_at, expires_at, sweep_at, secret_hash, payload)
        VALUES ('handle', 1, ${now}, ${now}, ${now + 60_000}, ${now + 60_000}, 'hash', 'payload')`,
    );
    const store = new PostgresStore(url, { table, clock });
    const record = await store.load("handle");
    ok(record !== undefined && record.payload === "payload");
    equal(await store.update("handle", { ...record, version: 2 }, 1), "ok");
    equal(await store.update("handle", { ...record, version: 2 }, 1), "conflict");
    equal(await store.create("linked", { ...record, link: "sid" }), true);
    equal(await store.count({ link: "sid" }), 1);
    await store.close();
  });

  test("the binary format, in which pg damages numbers, is refused at construction or at the first query", async () => {
    const config: object = { binary: true };
    throws(() => new PostgresStore(newPool(config)), { name: "TypeError", message: /binary/ });
    const store = new PostgresStore(url, { table: newTable(), clock });
    pg.defaults.binary = true;
    try {
      await rejects(
        () => store.load("handle"),
        (error) => /without binary: true/.test(inspect(error)),
      );
    } finally {
      pg.defaults.binary = false;
    }
    equal(await store.load("handle"), undefined);
    await store.close();
  });

  test("a migration that fails leaves nothing behind, and the next one starts over", async () => {
    const table = newTable();
    const client = await newPool({ max: 1 }).connect();
    const broken: SchemaStep = (name) => [
      `ALTER TABLE ${name} ADD COLUMN label text`,
      `ALTER TABLE ${name} ADD COLUMN label text`,
    ];
    await rejects(migrate({ ...dialect, steps: [...steps, broken] }, client, placeOf(table)), /already exists/);
    await migrate(dialect, client, placeOf(table));
    client.release();
    const store = new PostgresStore(url, { table, clock });
    equal(await store.load("handle"), undefined);
    await store.close();
  });

  test("a replacement that meets an uncommitted change waits for its outcome and tells which it was", async () => {
    const table = newTable();
    const store = new PostgresStore(url, { table, clock, timeoutMs: 10_000 });
    const now = clock.now();
    const other = new pg.Client(url);
    await other.connect();
    const columns = "version, created_at, touched_at, expires_at, secret_hash, payload, sweep_at";
    const values = `1, ${now}, ${now}, ${now + 60_000}, 'x', 'x', ${now}`;
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
        await other.query("BEGIN");
        await other.query(change);
        const replacing = store.replace("handle", 1, "fresh", recordAt(now, { secretHash: "fresh" }));
        await waitsForLock(table);
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
    const store = new PostgresStore(url, { table, clock, timeoutMs: 10_000 });
    const now = clock.now();
    const other = new pg.Client(url);
    await other.connect();
    for (const handle of ["a", "z"]) {
      for (const name of ["f", "m", "t"]) await store.create(name, recordAt(now, { userId: "user" }));
      await other.query("BEGIN");
      await other.query(`UPDATE ${table} SET handle = '${handle}' WHERE handle = 'm'`);
      const ending = store.deleteAll({ userId: "user" });
      await waitsForLock(table);
      await other.query("COMMIT");
      equal(await ending, 3);
      equal(await store.count(), 0);
    }
    await other.end();
    await store.close();
  });

  test("an update that meets an uncommitted change waits for its outcome and tells which it was", async () => {
    const table = newTable();
    const store = new PostgresStore(url, { table, clock });
    const now = clock.now();
    const other = new pg.Client(url);
    await other.connect();
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
          await other.query("BEGIN");
          await other.query(change);
          const updating = store.update("handle", recordAt(now, { version: 2, expiresAt }), 1);
          await waitsForLock(table);
          await other.query(end);
          equal(await updating, expected, `${change}; ${end}`);
        }
      }
    }
    await other.end();
    await store.close();
  });

  test("under any isolation level no increment is lost", async () => {
    for (const level of ["read committed", "repeatable read", "serializable"]) {
      const table = newTable();
      const options = `-c default_transaction_isolation=${level.replace(" ", "\\ ")}`;
      const store = new PostgresStore(newPool({ options, max: 4 }), { table, clock });
      await store.create("handle", recordAt(clock.now(), { payload: "0" }));
      let refused = 0;
      const increment = async () => {
        for (let done = 0; done < 10; ) {
          const record = await store.load("handle");
          ok(record !== undefined);
          const next = { ...record, payload: String(Number(record.payload) + 1), version: record.version + 1 };
          try {
            if ((await store.update("handle", next, record.version)) === "ok") done++;
          } catch (error) {
            // Twice in a row another transaction was first: certainly nothing was done.
            ok(error instanceof SojournError && error.message.includes("rolled back"), inspect(error));
            refused++;
          }
        }
      };
      await Promise.all([increment(), increment(), increment(), increment()]);
      equal((await store.load("handle"))?.payload, "40", `${level}, ${refused} refused`);
      await store.close();
    }
  });

  test("under any isolation level a user's limit is kept", async () => {
    for (const level of ["read committed", "repeatable read", "serializable"]) {
      const options = `-c default_transaction_isolation=${level.replace(" ", "\\ ")}`;
      const store = new PostgresStore(newPool({ options, max: 4 }), { table: newTable(), clock });
      await keepsLimit(store, clock.now(), level);
      await store.close();
    }
  });

  test("a sweep does not wait for a row that someone holds", async () => {
    const table = newTable();
    const ticking = new ManualClock();
    const store = new PostgresStore(url, { table, clock: ticking });
    for (let n = 0; n < 3; n++) await store.create(`handle${n}`, recordAt(ticking.now()));
    ticking.advance(3_600_000);
    const holder = new pg.Client(url);
    await holder.connect();
    await holder.query(`BEGIN; SELECT 1 FROM ${table} WHERE handle = 'handle1' FOR UPDATE`);
    equal(await store.prune(), 2);
    await holder.query("ROLLBACK");
    await holder.end();
    equal(await store.prune(), 1);
    await store.close();
  });

  test("a touch rewrites no index", async (t) => {
    const [version] = await postgresQuery(url, "SELECT current_setting('server_version_num')::int AS number");
    if (Number(version?.["number"]) < 150_000) return t.skip("PostgreSQL 14 publishes its statistics when it likes");
    const pool = newPool({ max: 1, options: "-c synchronous_commit=off" });
    /** Touches 40 sessions ten times. Returns how many of the touches were heap-only. */
    const heapOnly = async (): Promise<number> => {
      const table = newTable();
      const ticking = new ManualClock(2 ** 20 * 2_000_000);
      const store = new PostgresStore(pool, { table, clock: ticking });
      const now = ticking.now();
      for (let n = 0; n < 40; n++) await store.create(`handle${n}`, recordAt(now, { payload: "x".repeat(500) }));
      for (let round = 1; round <= 10; round++) {
        ticking.advance(60_000);
        for (let n = 0; n < 40; n++) await store.touch(`handle${n}`, ticking.now(), ticking.now() + 1_800_000);
      }
      await pool.query("SELECT pg_stat_force_next_flush()");
      const [counts] = (
        await pool.query(
          "SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = $1",
          [table],
        )
      ).rows;
      equal(counts.all, 400);
      await store.close();
      return counts.hot;
    };
    // Not all: while another test on this server has a transaction open, old versions keep their room. If a touch rewrote an
    // index, none would be.
    const seen: number[] = [];
    while (seen.length < 5 && !(Number(seen.at(-1)) >= 300)) seen.push(await heapOnly());
    ok(Number(seen.at(-1)) >= 300, `${seen.join(", ")} of 400 touches were heap-only`);
  });

  test("what requests cost, in round trips of one statement each", async (t) => {
    const proxy = await FaultProxy.start(Number(new URL(url).port || 5432));
    t.after(() => proxy.close());
    const through = new URL(url);
    through.host = `127.0.0.1:${proxy.port}`;
    const store = new PostgresStore(through.href, { table: newTable(), maxConnections: 1 });
    const { send } = await startSite(t, { store }, (app) => {
      app.get("/read", (req, res) => res.json({ userId: req.session.userId }));
      app.post("/write", (req, res) => {
        put(req.session, "n", Math.random());
        res.json({});
      });
      app.post("/login", async (req, res) => {
        await req.session.login("ann");
        put(req.session, "cart", Math.random());
        res.json({});
      });
      app.post("/logout", async (req, res) => {
        await req.session.logout();
        res.json({});
      });
    });
    const post = (path: string, token?: string) => send(path, { method: "POST", token });
    await post("/login");
    const trips = async (work: () => Promise<Reply>): Promise<[number, Reply]> => {
      const before = proxy.roundTrips;
      const reply = await work();
      equal(reply.status, 200);
      return [proxy.roundTrips - before, reply];
    };
    const [beginning, anonymous] = await trips(() => post("/write"));
    const [login, fresh] = await trips(() => post("/login", tokenOf(anonymous)));
    const token = tokenOf(fresh);
    const [first] = await trips(() => post("/login"));
    const [read] = await trips(() => send("/read", { token }));
    const [write] = await trips(() => post("/write", token));
    const [logout] = await trips(() => post("/logout", token));
    deepEqual(
      { beginning, first, read, write, login, logout },
      { beginning: 1, first: 1, read: 1, write: 2, login: 2, logout: 2 },
    );
  });

  test("a prepared statement that is gone points to the option", async () => {
    const table = newTable();
    const pool = newPool({ max: 1 });
    const store = new PostgresStore(pool, { table, clock });
    await store.load("handle");
    await pool.query("DEALLOCATE ALL");
    await rejects(store.load("handle"), { code: "STORE_UNAVAILABLE", message: /set prepare: false/ });
    const unprepared = new PostgresStore(pool, { table, clock, prepare: false });
    await unprepared.load("handle");
    await pool.query("DEALLOCATE ALL");
    equal(await unprepared.load("handle"), undefined);
    await Promise.all([store.close(), unprepared.close()]);
  });

  test("what an application has its values parsed into is its own affair", async () => {
    const table = newTable();
    const types = { getTypeParser: () => () => "parsed" };
    const store = new PostgresStore(newPool({ types }), { table, clock });
    const record = recordAt(clock.now());
    await store.create("handle", record);
    deepEqual(await store.load("handle"), record);
    equal(await store.count(), 1);
    await store.close();
  });

  test("no error holds a value of a row, whatever the server says", async () => {
    const table = newTable();
    const store = new PostgresStore(url, { table, clock });
    await store.load("handle");
    await postgresQuery(
      url,
      `ALTER TABLE ${table} ADD CONSTRAINT short CHECK (length(payload) < 20)`,
      `CREATE FUNCTION ${table}_f() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'row %', NEW USING DETAIL = NEW.payload, HINT = NEW.secret_hash; END$$`,
    );
    try {
      const secret = recordAt(clock.now(), { payload: "PAYLOAD-".repeat(5), secretHash: "SECRET", userId: "USER" });
      const checked = await failureOf(store.create("HANDLE", secret));
      await postgresQuery(url, `CREATE TRIGGER t BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION ${table}_f()`);
      const raised = await failureOf(store.create("HANDLE", { ...secret, payload: "PAYLOAD" }));
      for (const error of [checked, raised]) {
        equal(error.code, "STORE_UNAVAILABLE");
        const text = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
        ok(!/PAYLOAD|SECRET|USER|HANDLE/.test(text), text);
      }
    } finally {
      await store.close();
      await postgresQuery(url, `DROP TABLE ${table}`, `DROP FUNCTION ${table}_f`);
    }
  });

  test("close ends its own pool and no other, after what is under way", async () => {
    const table = newTable();
    const pool = newPool({ max: 2 });
    const store = new PostgresStore(pool, { table, clock });
    const creating = store.create("handle", recordAt(clock.now()));
    await store.close();
    equal(await creating, true);
    await rejects(store.load("handle"), { code: "STORE_CLOSED" });
    equal((await pool.query(`SELECT 1 FROM ${table}`)).rowCount, 1);

    const own = new PostgresStore(url, { table, clock });
    await own.load("handle");
    await Promise.all([own.close(), own.close()]);
    const [sessions] = await postgresQuery(
      url,
      "SELECT count(*)::int AS open FROM pg_stat_activity WHERE application_name = 'sojourn' AND query LIKE '%" +
        table +
        "%'",
    );
    equal(sessions?.["open"], 0);
  });
});

/** Until a statement on the table waits for someone else's row. */
async function waitsForLock(table: string): Promise<void> {
  await eventually("the wait for a lock", async () => {
    const waiting = await postgresQuery(
      url,
      `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%"${table}"%'`,
    );
    equal(waiting.length, 1);
  });
}
