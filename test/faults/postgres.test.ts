import { deepEqual, equal, ok } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import pg from "pg";
import { SojournError } from "../../src/contract/errors.ts";
import { PostgresStore, type PostgresStoreOptions } from "../../src/stores/postgres.ts";
import { failureOf } from "../stores/sql-checks.ts";
import { noPrivatePostgres, PrivatePostgres, postgresQuery } from "../support/servers/postgres.ts";
import {
  eventually,
  findProgram,
  freePort,
  PrivateProcess,
  serverFolder,
  tableName,
  unprivileged,
} from "../support/servers/private-process.ts";
import { mountSmallDisk, noSmallDisk } from "../support/servers/small-disk.ts";
import { recordAt } from "../support/sql-records.ts";
import { checkLogins, loginUntil } from "./admissions.ts";
import { checkAcknowledged, killWriter, rounds, starveOfDescriptors, writeUntilKilled } from "./sql-crashes.ts";

const settings = {
  shared_preload_libraries: "pg_stat_statements",
  max_connections: "60",
  // Enough for a process that dies; only a machine that does would lose what was not synced.
  fsync: "off",
};
const module = new URL("../../src/stores/postgres.ts", import.meta.url).href;
const openssl = findProgram("openssl");
const pgbouncer = findProgram("pgbouncer");

describe("PostgresStore and a server in trouble", { skip: noPrivatePostgres }, () => {
  let server: PrivatePostgres;
  const stores: PostgresStore[] = [];

  /** A store of a table of its own; fails fast. */
  function open(options: PostgresStoreOptions & { url?: string } = {}): PostgresStore {
    const { url = server.url(), ...rest } = options;
    const store = new PostgresStore(url, { table: tableName(), timeoutMs: 10_000, ...rest });
    stores.push(store);
    return store;
  }

  before(async () => {
    server = await PrivatePostgres.start(settings);
  });
  after(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await server.stop("kill");
  });

  test("frozen: calls end by their deadline, and go on when it goes on", async () => {
    const table = tableName();
    const store = open({ table, timeoutMs: 300 });
    const record = recordAt(Date.now());
    await eventually("the first call", () => store.create("handle", record));
    server.freeze();
    try {
      const other = open({ table, timeoutMs: 300 });
      const work = [
        store.load("handle"),
        store.touch("handle", record.touchedAt, record.expiresAt),
        other.load("handle"),
      ];
      for (const { code } of await Promise.all(work.map(failureOf)))
        ok(/^STORE_(TIMEOUT|UNAVAILABLE)$/.test(code), code);
    } finally {
      server.thaw();
    }
    deepEqual(await eventually("recovery", () => store.load("handle")), record);
  });

  test("down, at the start or later: calls fail and nothing else does, and the next one finds it up again", async () => {
    const table = tableName();
    const early = open({ table });
    const record = recordAt(Date.now());
    await early.create("handle", record);
    await server.stop();
    const late = open({ table });
    for (const store of [early, late]) {
      const error = await failureOf(store.load("handle"));
      equal(error.code, "STORE_UNAVAILABLE");
      ok(inspect(error.cause).includes("ECONNREFUSED"), inspect(error));
    }
    await server.start();
    deepEqual(await late.load("handle"), record);
    deepEqual(await early.load("handle"), record);
  });

  test("restarted while connections were idle: nobody notices", async () => {
    const store = open({ maxConnections: 3 });
    const record = recordAt(Date.now());
    await store.create("handle", record);
    for (const how of ["fast", "immediate"] as const) {
      await Promise.all([store.load("handle"), store.load("handle"), store.load("handle")]);
      await server.stop(how);
      await server.start();
      deepEqual(await store.load("handle"), record);
    }
  });

  for (const how of ["immediate", "kill"] as const) {
    test(`stopped in the middle of writes (${how}): what was acknowledged is there, whole`, async () => {
      const store = open();
      await store.load("first");
      for (let round = 0; round < rounds; round++) {
        const acknowledged = await writeUntilKilled(store, () => server.stop(how));
        await server.start();
        await eventually("recovery", () => store.load("a"));
        await checkAcknowledged(store, acknowledged);
      }
    });
  }

  test("killed in the middle of parallel logins: the limit holds, and what was acknowledged is there", async () => {
    const store = open();
    await store.load("first");
    const told = await loginUntil(store, () => server.stop("kill"));
    await server.start();
    await eventually("recovery", () => store.load("first"));
    await checkLogins(store, told);
  });

  test("frozen in the middle of parallel logins: the limit holds, and what was acknowledged is there", async () => {
    const table = tableName();
    const store = open({ table, timeoutMs: 1_000 });
    await eventually("the first call", () => store.load("first"));
    const told = await loginUntil(store, async () => server.freeze()).finally(() => server.thaw());
    await checkLogins(open({ table }), told);
  });

  test("the application is killed in the middle of writes: the old version or the new one, never a mixture", async () => {
    const table = tableName();
    const store = open({ table });
    await store.create("a", recordAt(Date.now(), { payload: "1 ".repeat(3_000) }));
    for (let round = 0; round < rounds; round++) {
      const acknowledged = await killWriter(module, "PostgresStore", server.url(), table);
      const found = await store.load("a");
      ok(found?.version === acknowledged || found?.version === acknowledged + 1);
      equal(found.payload, `${found.version} `.repeat(3_000));
    }
  });

  test("says what an acknowledged write survives", async () => {
    await server.query("CREATE ROLE lax LOGIN SUPERUSER", "ALTER ROLE lax SET synchronous_commit = off");
    const durable = async (store: PostgresStore) => {
      await store.load("handle");
      return store.capabilities.durable;
    };
    // As the tests' server is set: no sync at all.
    equal(await durable(open()), "process-crash");
    await server.stop();
    await server.start({ ...settings, fsync: "on" });
    equal(await durable(open()), "power-loss");
    equal(await durable(open({ url: server.url("lax") })), "process-crash");
  });

  test("with synchronous_commit off a crash loses only the writes of the last three wal_writer_delays", async (t) => {
    const delayMs = 1_000;
    await server.stop();
    await server.start({ ...settings, synchronous_commit: "off", wal_writer_delay: `${delayMs}ms` });
    const store = open();
    const record = recordAt(Date.now());
    const acknowledgedAt: number[] = [];
    await store.create("first", record);
    equal(store.capabilities.durable, "process-crash");
    for (const begun = performance.now(); performance.now() - begun < 2.5 * delayMs; ) {
      equal(await store.create(`n${acknowledgedAt.length}`, record), true);
      acknowledgedAt.push(performance.now());
    }
    const killedAt = performance.now();
    await server.stop("kill");
    await server.start(settings);
    await eventually("recovery", () => store.load("first"));
    const survived: boolean[] = [];
    for (let n = 0; n < acknowledgedAt.length; n++) survived.push((await store.load(`n${n}`)) !== undefined);
    const kept = survived.lastIndexOf(true) + 1;
    ok(survived.slice(0, kept).every(Boolean), "only the newest are gone");
    const oldestLost = killedAt - (acknowledgedAt[kept] ?? killedAt);
    t.diagnostic(
      `${acknowledgedAt.length - kept} of ${acknowledgedAt.length} lost, of the last ${Math.round(oldestLost)} ms`,
    );
    ok(oldestLost <= 3 * delayMs);
  });

  test("a locked table: calls fail in time, and no process of the server is left waiting", async () => {
    const table = tableName();
    const store = open({ table, timeoutMs: 400, maxConnections: 3 });
    await eventually("the first call", () => store.create("handle", recordAt(Date.now())));
    const locker = new pg.Client(server.url());
    await locker.connect();
    await locker.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    const errors = await Promise.all(Array.from({ length: 12 }, () => failureOf(store.load("handle"))));
    for (const { code } of errors) ok(code === "STORE_UNAVAILABLE" || code === "STORE_TIMEOUT", code);
    ok(
      errors.some(({ message }) => message.includes("held a lock for too long")),
      inspect(errors),
    );
    await eventually("the end of every wait", async () => {
      const [row] = await server.query("SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted");
      equal(row?.["waiting"], 0);
    });
    await locker.query("COMMIT");
    await locker.end();
    equal((await eventually("recovery", () => store.load("handle")))?.version, 1);
  });

  test("chosen as the victim of a deadlock, it tries once more", async () => {
    const table = tableName();
    await server.query("CREATE ROLE hasty LOGIN SUPERUSER", "ALTER ROLE hasty SET deadlock_timeout = '500ms'");
    const store = open({ table, url: server.url("hasty") });
    await store.create("a", recordAt(Date.now()));
    await store.create("b", recordAt(Date.now()));
    const other = new pg.Client(server.url());
    await other.connect();
    await other.query("SET deadlock_timeout = '1min'; BEGIN");
    await other.query(`SELECT 1 FROM ${table} WHERE handle = 'b' FOR UPDATE`);
    const ending = store.deleteAll({ userId: "user" }).catch((error: unknown) => error);
    await eventually("the store's wait", async () => {
      const [row] = await server.query("SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted");
      equal(row?.["waiting"], 1);
    });
    // The store holds a and waits for b; this one holds b and now wants a. The store's own check comes first.
    await other.query(`SELECT 1 FROM ${table} WHERE handle = 'a' FOR UPDATE`);
    await other.query("COMMIT");
    await other.end();
    // Its second try may have been faster than the other one's waking up, and the victim again; then it says so.
    const ended = await ending;
    if (ended instanceof SojournError) {
      ok(ended.message.includes("rolled back"), inspect(ended));
      equal(await store.deleteAll({ userId: "user" }), 2);
    } else equal(ended, 2);
    ok(server.log.includes("deadlock detected"));
  });

  test("out of connections: unavailable, until there is one", async () => {
    await server.query("CREATE ROLE few LOGIN CONNECTION LIMIT 1", "GRANT ALL ON SCHEMA public TO few");
    const holder = new pg.Client(server.url("few"));
    await holder.connect();
    const store = open({ url: server.url("few"), maxConnections: 1 });
    const error = await failureOf(store.load("handle"));
    equal(error.code, "STORE_UNAVAILABLE");
    ok(inspect(error.cause).includes("53300"));
    await holder.end();
    equal(await eventually("a free connection", () => store.load("handle")), undefined);
  });

  test("an application's pool that is used up: calls fail at the deadline, and leave it as it was", async () => {
    const pool = new pg.Pool({ connectionString: server.url(), max: 2 });
    const store = new PostgresStore(pool, { table: tableName(), timeoutMs: 300 });
    await eventually("the first call", () => store.load("handle"));
    const held = await Promise.all([pool.connect(), pool.connect()]);
    const errors = await Promise.all(Array.from({ length: 20 }, () => failureOf(store.load("handle"))));
    deepEqual(new Set(errors.map(({ code }) => code)), new Set(["STORE_TIMEOUT"]));
    for (const client of held) client.release();
    equal(await store.load("handle"), undefined);
    equal(pool.waitingCount, 0);
    await store.close();
    await pool.end();
  });

  test("a server that closes idle connections: nobody notices", async () => {
    await server.query("CREATE ROLE idle LOGIN SUPERUSER", "ALTER ROLE idle SET idle_session_timeout = '30ms'");
    const store = open({ url: server.url("idle"), maxConnections: 2 });
    const record = recordAt(Date.now());
    await store.create("handle", record);
    for (let round = 0; round < 5; round++) {
      deepEqual(await store.load("handle"), record);
      await eventually("the end of the idle connection", async () => {
        deepEqual(await server.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'idle'"), []);
      });
    }
  });

  test("read-only, as a replica is: reads work, writes fail, and a failover back is found", async () => {
    const table = tableName();
    await server.query("CREATE ROLE reader LOGIN SUPERUSER");
    const store = open({ table, url: server.url("reader") });
    const record = recordAt(Date.now());
    await store.create("handle", record);
    await server.query("ALTER ROLE reader SET default_transaction_read_only = on");
    const readOnly = open({ table, url: server.url("reader") });
    deepEqual(await readOnly.load("handle"), record);
    const error = await failureOf(readOnly.update("handle", { ...record, version: 2 }, 1));
    equal(error.code, "STORE_UNAVAILABLE");
    ok(error.message.includes("read-only"));
    await server.query("ALTER ROLE reader RESET default_transaction_read_only");
    // Its connection was given up with the error: the next one is another.
    equal(await readOnly.update("handle", { ...record, version: 2 }, 1), "ok");
  });

  test("a privilege that is missing is named, and a call after it is granted works", async () => {
    const table = tableName();
    await server.query("CREATE ROLE poor LOGIN");
    const owner = open({ table });
    await owner.load("handle");
    const store = open({ table, url: server.url("poor") });
    const error = await failureOf(store.load("handle"));
    equal(error.code, "STORE_UNAVAILABLE");
    ok(error.message.includes("privilege"), error.message);
    await server.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO poor`);
    equal(await store.create("handle", recordAt(Date.now())), true);
  });

  test("a database whose encoding can't hold every text is refused", async () => {
    await server.query("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0");
    const error = await failureOf(open({ url: server.url("root", "old") }).load("handle"));
    ok(error.message.includes("LATIN1"), error.message);
  });

  test("no file descriptor left: unavailable, until there is one", async () => {
    const table = tableName();
    const store = open({ table });
    await store.create("a", recordAt(Date.now()));
    const told = await starveOfDescriptors(module, "PostgresStore", server.url(), table);
    deepEqual(told, { code: "STORE_UNAVAILABLE", cause: "EMFILE", afterwards: "1" });
  });

  test("one statement an operation, and a second one only to tell why the first did nothing", async () => {
    await server.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
    const table = tableName();
    const store = open({ table });
    const now = Date.now();
    const record = recordAt(now);
    const counts: Record<string, number> = {};
    const count = async (name: string, work: () => Promise<unknown>): Promise<void> => {
      await server.query("SELECT pg_stat_statements_reset()");
      await work();
      const [row] = await server.query(
        "SELECT coalesce(sum(calls), 0)::int AS calls FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'",
      );
      counts[name] = Number(row?.["calls"]);
    };
    await store.load("handle");
    await count("load", () => store.load("handle"));
    await count("create", () => store.create("handle", record));
    await count("create, taken", () => store.create("handle", record));
    await count("update", () => store.update("handle", { ...record, version: 2 }, 1));
    await count("update, conflict", () => store.update("handle", { ...record, version: 2 }, 1));
    await count("update, gone", () => store.update("unknown", { ...record, version: 2 }, 1));
    await count("touch", () => store.touch("handle", now + 1, now + 60_000));
    await count("list", () => store.list({ userId: "user" }));
    await count("count", () => store.count());
    await count("prune", () => store.prune());
    await count("update to an end", () => store.update("handle", { ...record, version: 3, expiresAt: 0 }, 2));
    await count("delete", () => store.delete("handle"));
    await count("deleteAll", () => store.deleteAll({ userId: "user" }));
    const { "update, conflict": conflict, "update, gone": gone, ...others } = counts;
    deepEqual(new Set(Object.values(others)), new Set([1]), inspect(counts));
    deepEqual([conflict, gone], [2, 2]);
  });

  test("no room on the disk: full, reads and logouts work, and writes do when there is room", {
    skip: noSmallDisk,
  }, async () => {
    const folder = serverFolder("tablespace");
    mkdirSync(join(folder, "disk"));
    const disk = mountSmallDisk(join(folder, "disk"), 1_024);
    try {
      const table = tableName();
      await server.query(
        `CREATE TABLESPACE small LOCATION '${join(folder, "disk")}'`,
        "CREATE ROLE filler LOGIN SUPERUSER",
        "ALTER ROLE filler SET default_tablespace = 'small'",
      );
      const store = open({ table, url: server.url("filler") });
      const record = recordAt(Date.now(), { payload: randomBytes(30_000).toString("base64") });
      let created = 0;
      const filling = async () => {
        for (; ; created++) await store.create(`handle${created}`, record);
      };
      equal((await failureOf(filling())).code, "STORE_FULL");
      ok(created > 5);
      deepEqual(await store.load("handle0"), record);
      for (let n = 0; n < created; n++) equal(await store.delete(`handle${n}`), true);
      disk.resize(4_096);
      equal(await store.create("again", record), true);
      await store.close();
      await server.query(`DROP TABLE ${table}`, "CHECKPOINT", "DROP TABLESPACE small");
    } finally {
      disk.unmount();
    }
  });

  test("TLS: an unknown issuer and another server's name are refused", {
    skip: openssl === undefined && "no openssl",
  }, async () => {
    const certificate = join(server.folder, "server.crt");
    execFileSync(
      openssl ?? "",
      ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=database", "-addext"].concat([
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        join(server.folder, "server.key"),
        "-out",
        certificate,
      ]),
      { ...unprivileged, stdio: "ignore" },
    );
    await server.query("ALTER SYSTEM SET ssl = on");
    await server.query("SELECT pg_reload_conf()");
    const at = (host: string, query: string) => `postgres://root@${host}:${server.port}/postgres?${query}`;
    await eventually("TLS", () => postgresQuery(at("127.0.0.1", "sslmode=no-verify"), "SELECT 1"));
    const unknown = await failureOf(open({ url: at("127.0.0.1", "sslmode=verify-full") }).load("handle"));
    ok(inspect(unknown.cause).includes("SELF_SIGNED"), inspect(unknown));
    const issued = `sslmode=verify-full&sslrootcert=${certificate}`;
    const wrongName = await failureOf(open({ url: at("localhost", issued) }).load("handle"));
    ok(inspect(wrongName.cause).includes("ALTNAME"), inspect(wrongName));
    equal(await open({ url: at("127.0.0.1", issued) }).load("handle"), undefined);
    await server.query("ALTER SYSTEM RESET ssl");
    await server.query("SELECT pg_reload_conf()");
  });

  test("through PgBouncer in transaction mode", { skip: pgbouncer === undefined && "no pgbouncer" }, async () => {
    const folder = serverFolder("pgbouncer");
    const port = await freePort();
    const settings = server.writeFile(
      "pgbouncer.ini",
      [
        "[databases]",
        `postgres = host=127.0.0.1 port=${server.port} dbname=postgres user=root`,
        "[pgbouncer]",
        `listen_addr = 127.0.0.1`,
        `listen_port = ${port}`,
        "unix_socket_dir =",
        "auth_type = any",
        "pool_mode = transaction",
        "default_pool_size = 3",
      ].join("\n"),
    );
    const bouncer = new PrivateProcess(pgbouncer ?? "", [settings], folder);
    const url = `postgres://root@127.0.0.1:${port}/postgres`;
    try {
      await eventually("the start of PgBouncer", () => postgresQuery(url, "SELECT 1"));
      const table = tableName();
      const store = open({ url, table, prepare: false, maxConnections: 8 });
      const now = Date.now();
      await store.create("counter", recordAt(now, { payload: "0" }));
      const work = async (name: string) => {
        for (let round = 0; round < 10; round++) {
          const handle = `${name}${round}`;
          equal(await store.create(handle, recordAt(now, { userId: name })), true);
          equal(await store.update(handle, recordAt(now, { version: 2 }), 1), "ok");
          equal(await store.touch(handle, now, now + 60_000), true);
          equal((await store.load(handle))?.version, 2);
        }
        equal(await store.deleteAll({ userId: name, except: `${name}0` }), 9);
      };
      await Promise.all(["a", "b", "c", "d", "e", "f", "g", "h"].map(work));
      equal(await store.count(), 9);

      // With prepared statements one of many calls meets a server process that has not prepared it, or has already.
      const pool = new pg.Pool({ connectionString: url, max: 8 });
      const prepared = new PostgresStore(pool, { table });
      const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => prepared.load("a0")));
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") ok(/prepare: false/.test(outcome.reason.message), inspect(outcome.reason));
      }
      ok(outcomes.some(({ status }) => status === "rejected"));
      await pool.end();
    } finally {
      await Promise.all(stores.splice(0).map((store) => store.close()));
      await bouncer.end("SIGKILL");
    }
  });
});
