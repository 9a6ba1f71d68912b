import { deepEqual, equal, ok } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import mysql from "mysql2/promise";
import { SojournError } from "../../src/contract/errors.ts";
import { MysqlStore, type MysqlStoreOptions } from "../../src/stores/mysql.ts";
import { failureOf } from "../stores/sql-checks.ts";
import { mysqlLockWaits, mysqlQuery, noPrivateMariadb, PrivateMariadb } from "../support/servers/mariadb.ts";
import { eventually, findProgram, tableName, unprivileged } from "../support/servers/private-process.ts";
import { mountSmallDisk, noSmallDisk } from "../support/servers/small-disk.ts";
import { recordAt } from "../support/sql-records.ts";
import { checkLogins, loginUntil } from "./admissions.ts";
import { checkAcknowledged, killWriter, rounds, starveOfDescriptors, writeUntilKilled } from "./sql-crashes.ts";

const module = new URL("../../src/stores/mysql.ts", import.meta.url).href;
const openssl = findProgram("openssl");

describe("MysqlStore and a server in trouble", { skip: noPrivateMariadb }, () => {
  let server: PrivateMariadb;
  const stores: MysqlStore[] = [];

  /** A store of a table of its own. */
  function open(options: MysqlStoreOptions & { url?: string } = {}): MysqlStore {
    const { url = server.url(), ...rest } = options;
    const store = new MysqlStore(url, { table: tableName(), timeoutMs: 10_000, ...rest });
    stores.push(store);
    return store;
  }

  before(async () => {
    server = await PrivateMariadb.start();
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

  test("killed in the middle of writes: what was acknowledged is there, whole", async () => {
    const store = open();
    await store.load("first");
    for (let round = 0; round < rounds; round++) {
      const acknowledged = await writeUntilKilled(store, () => server.stop("kill"));
      await server.start();
      await eventually("recovery", () => store.load("a"));
      await checkAcknowledged(store, acknowledged);
    }
  });

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
      const acknowledged = await killWriter(module, "MysqlStore", server.url(), table);
      const found = await store.load("a");
      ok(found?.version === acknowledged || found?.version === acknowledged + 1);
      equal(found.payload, `${found.version} `.repeat(3_000));
    }
  });

  test("says what an acknowledged write survives", async () => {
    const durable = async () => {
      const store = open();
      await store.load("handle");
      return store.capabilities.durable;
    };
    equal(await durable(), "power-loss");
    for (const lax of [0, 2]) {
      await server.query(`SET GLOBAL innodb_flush_log_at_trx_commit = ${lax}`);
      equal(await durable(), "process-crash");
    }
    await server.query("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
  });

  test("read-only, as a replica is: reads work, writes fail, and a failover back is found", async () => {
    const table = tableName();
    await server.query("CREATE USER app", "GRANT ALL ON test.* TO app");
    const store = open({ table, url: server.url("app") });
    const record = recordAt(Date.now());
    await store.create("handle", record);
    await server.query("SET GLOBAL read_only = 1");
    deepEqual(await store.load("handle"), record);
    const error = await failureOf(store.update("handle", { ...record, version: 2 }, 1));
    equal(error.code, "STORE_UNAVAILABLE");
    ok(error.message.includes("read-only") && inspect(error.cause).includes("1290"), inspect(error));
    await server.query("SET GLOBAL read_only = 0");
    equal(await store.update("handle", { ...record, version: 2 }, 1), "ok");
  });

  test("a locked row and a locked table: calls fail in time, and no thread of the server is left waiting", async () => {
    const table = tableName();
    const store = open({ table, timeoutMs: 2_000 });
    const record = recordAt(Date.now());
    await store.create("handle", record);
    const locker = await mysql.createConnection(server.url());
    for (const [lock, release] of [
      [`SELECT 1 FROM ${table} WHERE handle = 'handle' FOR UPDATE`, "ROLLBACK"],
      [`LOCK TABLES ${table} WRITE`, "UNLOCK TABLES"],
    ] as const) {
      await locker.query("START TRANSACTION");
      await locker.query(lock);
      const errors = await Promise.all(
        Array.from({ length: 5 }, () => failureOf(store.update("handle", { ...record, version: 2 }, 1))),
      );
      ok(
        errors.some(({ message }) => message.includes("held a lock for too long")),
        inspect(errors),
      );
      for (const { code } of errors) ok(/^STORE_(TIMEOUT|UNAVAILABLE)$/.test(code), code);
      await mysqlLockWaits(server.url(), table, 0);
      await locker.query(release);
      equal((await store.load("handle"))?.version, 1);
    }
    await locker.end();
  });

  test("chosen as the victim of a deadlock, it tries once more", async () => {
    const table = tableName();
    const store = open({ table });
    for (const handle of ["a", "b", "c", "d"]) await store.create(handle, recordAt(Date.now()));
    const other = await mysql.createConnection(server.url());
    await other.query("START TRANSACTION");
    // Many changes, so that undoing the store's is cheaper: it is the one that is chosen.
    for (const handle of ["b", "c", "d"]) {
      await other.query(`UPDATE ${table} SET payload = REPEAT('x', 1000) WHERE handle = '${handle}'`);
    }
    const ending = store.deleteAll({ userId: "user" }).catch((error: unknown) => error);
    await mysqlLockWaits(server.url(), table, 1);
    await other.query(`UPDATE ${table} SET payload = 'y' WHERE handle = 'a'`);
    await other.query("COMMIT");
    await other.end();
    // Its second try may have been the victim again; then it says so.
    const ended = await ending;
    if (ended instanceof SojournError) {
      ok(ended.message.includes("rolled back"), inspect(ended));
      equal(await store.deleteAll({ userId: "user" }), 4);
    } else equal(ended, 4);
    const [row] = await server.query("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'");
    ok(Number(row?.["Value"]) >= 1);
  });

  test("out of connections: unavailable, until there is one", async () => {
    await server.query("CREATE USER few WITH MAX_USER_CONNECTIONS 1", "GRANT ALL ON test.* TO few");
    const holder = await mysql.createConnection(server.url("few"));
    const store = open({ url: server.url("few"), maxConnections: 1 });
    const error = await failureOf(store.load("handle"));
    equal(error.code, "STORE_UNAVAILABLE");
    ok(error.message.includes("no connection left"), inspect(error));
    await holder.end();
    equal(await eventually("a free connection", () => store.load("handle")), undefined);
  });

  test("an application's pool that is used up: calls fail at the deadline, and leave it as it was", async () => {
    const pool = mysql.createPool({ uri: server.url(), connectionLimit: 2 });
    const store = new MysqlStore(pool, { table: tableName(), timeoutMs: 300 });
    await eventually("the first call", () => store.load("handle"));
    const held = await Promise.all([pool.getConnection(), pool.getConnection()]);
    const errors = await Promise.all(Array.from({ length: 20 }, () => failureOf(store.load("handle"))));
    deepEqual(new Set(errors.map(({ code }) => code)), new Set(["STORE_TIMEOUT"]));
    for (const connection of held) connection.release();
    equal(await store.load("handle"), undefined);
    await store.close();
    await pool.end();
  });

  test("a server that closes idle connections: nobody notices", async () => {
    await server.query("CREATE USER idle", "GRANT ALL ON test.* TO idle", "SET GLOBAL wait_timeout = 1");
    const store = open({ maxConnections: 2, url: server.url("idle") });
    const record = recordAt(Date.now());
    try {
      await store.create("handle", record);
      for (let round = 0; round < 2; round++) {
        deepEqual(await store.load("handle"), record);
        await eventually("the end of the idle connections", async () => {
          deepEqual(await server.query("SELECT 1 FROM information_schema.processlist WHERE user = 'idle'"), []);
        });
      }
      deepEqual(await store.load("handle"), record);
    } finally {
      await server.query("SET GLOBAL wait_timeout = 28800");
    }
  });

  test("a privilege that is missing is named, and a call after it is granted works", async () => {
    const table = tableName();
    await open({ table }).load("handle");
    await server.query("CREATE USER poor", `GRANT SELECT (handle) ON test.${table} TO poor`);
    const store = open({ table, url: server.url("poor") });
    const error = await failureOf(store.load("handle"));
    equal(error.code, "STORE_UNAVAILABLE");
    ok(error.message.includes("privilege"), inspect(error));
    await server.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON test.${table} TO poor`);
    equal(await eventually("the grant", () => store.create("handle", recordAt(Date.now()))), true);
  });

  test("no file descriptor left: unavailable, until there is one", async () => {
    const table = tableName();
    const store = open({ table });
    await store.create("a", recordAt(Date.now()));
    const told = await starveOfDescriptors(module, "MysqlStore", server.url(), table);
    deepEqual(told, { code: "STORE_UNAVAILABLE", cause: "EMFILE", afterwards: "1" });
  });

  test("no room on the disk: full, reads and logouts work, and writes do when there is room", {
    skip: noSmallDisk,
  }, async () => {
    const folder = join(server.folder, "data", "small");
    mkdirSync(folder);
    const disk = mountSmallDisk(folder, 2_048);
    try {
      const table = tableName();
      const store = open({ table, schema: "small" });
      const record = recordAt(Date.now(), { payload: randomBytes(4_000).toString("base64") });
      let created = 0;
      const filling = async () => {
        for (; ; created++) await store.create(`handle${created}`, record);
      };
      const error = await failureOf(filling());
      equal(error.code, "STORE_FULL", inspect(error));
      ok(created > 3);
      deepEqual(await store.load("handle0"), record);
      for (let n = 0; n < created; n++) equal(await store.delete(`handle${n}`), true);
      disk.resize(16_384);
      equal(await eventually("room", () => store.create("again", record)), true);
      await store.close();
      await server.query(`DROP TABLE small.${table}`);
    } finally {
      disk.unmount();
    }
  });

  test("TLS: an unknown issuer and another server's name are refused", {
    skip: openssl === undefined && "no openssl",
  }, async () => {
    const [key, certificate] = [join(server.folder, "server.key"), join(server.folder, "server.crt")];
    execFileSync(
      openssl ?? "",
      ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=database", "-addext"].concat([
        "subjectAltName=DNS:database.invalid",
        "-keyout",
        key,
        "-out",
        certificate,
      ]),
      { ...unprivileged, stdio: "ignore" },
    );
    await server.stop();
    await server.start(`--ssl-cert=${certificate}`, `--ssl-key=${key}`);
    const at = (ssl: unknown) => `${server.url()}?ssl=${encodeURIComponent(JSON.stringify(ssl))}`;
    await mysqlQuery(at({ rejectUnauthorized: false }), "SELECT 1");
    const unknown = await failureOf(open({ url: at(true) }).load("handle"));
    ok(/SELF_SIGNED|self.signed/i.test(inspect(unknown.cause)), inspect(unknown));
    const ca = readFileSync(certificate, "utf8");
    const local = at({ ca }).replace("127.0.0.1", "localhost");
    const wrongName = await failureOf(open({ url: local }).load("handle"));
    ok(/altname/i.test(inspect(wrongName.cause)), inspect(wrongName));
    // `ssl=true` trusts the issuers that Node trusts, and asks for the name no less.
    const program = `
      const { MysqlStore } = await import(process.argv[1]);
      const store = new MysqlStore(process.argv[2], { timeoutMs: 10_000 });
      console.log(await store.load("handle").then(() => "loaded", (error) => error.cause.message));
      await store.close();`;
    const trusted = execFileSync(
      process.execPath,
      ["--input-type=module", "-e", program, module, at(true).replace("127.0.0.1", "localhost")],
      { encoding: "utf8", env: { ...process.env, NODE_EXTRA_CA_CERTS: certificate } },
    );
    ok(/altname/i.test(trusted), trusted);
    const unnamed = at({ ca, verifyIdentity: false }).replace("127.0.0.1", "localhost");
    equal(await open({ url: unnamed }).load("handle"), undefined);
  });
});
