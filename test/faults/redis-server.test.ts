import { deepEqual, equal, match, ok } from "node:assert/strict";
import { chmodSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { createClient } from "redis";
import { RedisStore } from "../../src/stores/redis.ts";
import { tokenOf } from "../support/client.ts";
import { put, startSite } from "../support/express-site.ts";
import { packages, record, refuses } from "../support/redis-records.ts";
import { eventually } from "../support/servers/private-process.ts";
import { FaultProxy } from "../support/servers/proxy.ts";
import { noPrivateRedis, PrivateRedis, startReplica } from "../support/servers/redis.ts";
import { checkLogins, loginUntil } from "./admissions.ts";

async function server(t: TestContext, ...settings: string[]): Promise<PrivateRedis> {
  const started = await PrivateRedis.start(...settings);
  t.after(() => started.stop());
  return started;
}

function open(t: TestContext, ...args: ConstructorParameters<typeof RedisStore>): RedisStore {
  const store = new RedisStore(...args);
  t.after(() => store.close());
  return store;
}

/** Connects in advance: loading a client package may take longer than a request may wait. */
async function connected(store: RedisStore): Promise<RedisStore> {
  await store.load("unknown");
  return store;
}

/** A site that remembers a visitor, with a store that it doesn't wait long for. */
async function site(t: TestContext, store: RedisStore) {
  const storeTimeout = { read: "1s", commit: "1s" } as const;
  return startSite(t, { store, storeTimeout }, (app) => {
    app.get("/", (req, res) => res.json({ userId: req.session.userId }));
    app.get("/static", (_req, res) => res.json({}));
    app.post("/login", async (req, res) => {
      await req.session.login("ann");
      res.json({});
    });
    app.post("/write", (req, res) => {
      put(req.session, "n", 1);
      res.json({});
    });
    app.post("/logout", async (req, res) => {
      await req.session.logout();
      res.json({});
    });
  });
}

describe("a Redis server that fails", { skip: noPrivateRedis ?? false }, () => {
  for (const client of packages) {
    test(`frozen: 503 until it goes on, and then nobody is logged out (${client})`, async (t) => {
      const redis = await server(t);
      const { send } = await site(t, await connected(open(t, redis.url, { client })));
      const token = tokenOf(await send("/login", { method: "POST" }));
      redis.freeze();
      t.after(() => redis.thaw());
      const replies = await Promise.all([
        send("/", { token }),
        send("/write", { method: "POST", token }),
        send("/logout", { method: "POST", token }),
      ]);
      for (const reply of replies) {
        equal(reply.status, 503);
        equal(reply.json()["code"], "STORE_TIMEOUT");
      }
      equal(replies[0]?.cookie, "kept");
      equal((await send("/static")).status, 200);
      redis.thaw();
      await eventually("the recovery", async () => equal((await send("/", { token })).json()["userId"], "ann"));
    });

    test(`killed: fails at once, and works again after a restart (${client})`, async (t) => {
      const redis = await server(t, "--appendonly", "yes", "--appendfsync", "always");
      const store = open(t, redis.url, { client });
      const { send } = await site(t, store);
      const token = tokenOf(await send("/login", { method: "POST" }));
      await redis.kill();
      await eventually("the loss of the connection", () => refuses(store.load("unknown"), "STORE_UNAVAILABLE"));
      for (const [path, method] of [["/"], ["/write", "POST"], ["/logout", "POST"]] as const) {
        const reply = await send(path, { token, ...(method && { method }) });
        deepEqual([reply.status, reply.json()["code"]], [503, "STORE_UNAVAILABLE"], path);
      }
      equal((await send("/static")).status, 200);
      await redis.start();
      await eventually("the recovery", async () => equal((await send("/", { token })).json()["userId"], "ann"));
      equal((await send("/logout", { method: "POST", token })).status, 200);
      equal((await send("/", { token })).json()["userId"], null);
    });

    test(`killed in the middle of parallel logins: the limit holds, what was acknowledged is there (${client})`, async (t) => {
      const warnings: Error[] = [];
      const listen = (warning: Error) => warnings.push(warning);
      process.on("warning", listen);
      t.after(() => process.off("warning", listen));
      const redis = await server(t, "--appendonly", "yes", "--appendfsync", "always");
      const store = await connected(open(t, redis.url, { client }));
      const told = await loginUntil(store, () => redis.kill());
      await redis.start();
      await eventually("the recovery", () => store.load("unknown"));
      await checkLogins(store, told);
      deepEqual(warnings, []);
    });

    test(`frozen in the middle of parallel logins: the limit holds, what was acknowledged is there (${client})`, async (t) => {
      const redis = await server(t);
      const store = await connected(open(t, redis.url, { client }));
      const told = await loginUntil(store, async () => redis.freeze()).finally(() => redis.thaw());
      await eventually("the recovery", () => store.load("unknown"));
      await checkLogins(store, told);
    });

    test(`not there at the start: no crash, 503, and service once it is (${client})`, async (t) => {
      const redis = await server(t);
      await redis.kill();
      const store = open(t, redis.url, { client });
      await refuses(store.load("handle"), "STORE_UNAVAILABLE", "ECONNREFUSED");
      await refuses(store.create("handle", record()), "STORE_UNAVAILABLE", "ECONNREFUSED");
      await redis.start();
      await eventually("the connection", async () => equal(await store.create("handle", record()), true));
    });

    test(`turned into a replica: reads go on, writes are refused, the new primary is found (${client})`, async (t) => {
      const [old, fresh] = [await server(t), await server(t)];
      const address = await FaultProxy.start(old.port);
      t.after(() => address.close());
      const store = open(t, `redis://127.0.0.1:${address.port}`, { client });
      const session = record();
      await store.create("handle", session);
      await old.ask("REPLICAOF", "127.0.0.1", "1");
      await refuses(store.update("handle", { ...session, version: 2 }, 1), "STORE_UNAVAILABLE", "READONLY");
      deepEqual(await store.load("handle"), session);
      await old.ask("CONFIG", "SET", "replica-serve-stale-data", "no");
      await refuses(store.load("handle"), "STORE_UNAVAILABLE", "MASTERDOWN");
      // The name of the primary leads elsewhere now; the connection that is open does not know.
      address.target = fresh.port;
      await eventually("the way to the new primary", async () => {
        equal(await store.create("elsewhere", record()).catch(() => false), true);
      });
      ok(Number(await fresh.ask("DBSIZE")) > 0);
    });

    test(`loading its data: unavailable until it has (${client})`, async (t) => {
      const redis = await server(t);
      const store = open(t, redis.url, { client });
      const session = record();
      await store.create("handle", session);
      await redis.ask("EVAL", "for i = 1, 3000 do redis.call('SET', 'filler' .. i, i) end", "0");
      await redis.ask("SAVE");
      await redis.kill();
      // Six seconds, if it were left alone.
      await redis.start("--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024");
      await eventually("a refusal", () => refuses(store.load("handle"), "STORE_UNAVAILABLE"));
      await redis.ask("CONFIG", "SET", "key-load-delay", "0");
      await eventually("the end of loading", async () => deepEqual(await store.load("handle"), session));
    });

    test(`closing idle connections: nobody notices (${client})`, async (t) => {
      const redis = await server(t, "--timeout", "1");
      const between = await FaultProxy.start(redis.port);
      t.after(() => between.close());
      const store = open(t, `redis://127.0.0.1:${between.port}`, { client });
      const session = record();
      await store.create("handle", session);
      await eventually("the end of the idle connection", async () => ok(between.opened > 1));
      deepEqual(await store.load("handle"), session);
      equal(await store.update("handle", { ...session, version: 2 }, 1), "ok");
    });

    test(`connections cut again and again: each is opened anew, and nothing fails (${client})`, async (t) => {
      const redis = await server(t);
      const store = open(t, redis.url, { client });
      const session = record();
      await store.create("handle", session);
      for (let version = 1; version < 10; version++) {
        await redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        equal(await store.update("handle", { ...session, version: version + 1 }, version), "ok");
        await redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        equal((await store.load("handle"))?.version, version + 1);
      }
    });

    test(`asking for a password: the reason is told, the password is not (${client})`, async (t) => {
      const redis = await server(t);
      await redis.ask("CONFIG", "SET", "requirepass", "swordfish");
      const withPassword = (password: string) => redis.url.replace("//", `//:${password}@`);
      await refuses(open(t, withPassword("sword-salmon"), { client }).load("handle"), "STORE_UNAVAILABLE", "WRONGPASS");
      await refuses(open(t, redis.url, { client }).load("handle"), "STORE_UNAVAILABLE", "NOAUTH");
      equal(await open(t, withPassword("swordfish"), { client }).create("handle", record()), true);
    });

    test(`every connection taken by others: refused, not queued, until one is free (${client})`, async (t) => {
      const redis = await server(t, "--maxclients", "6");
      const others = Array.from({ length: 6 }, () => createClient({ url: redis.url }));
      for (const other of others) {
        await other.connect();
        other.on("error", () => undefined);
        other.blPop("nothing", 0).catch(() => undefined);
      }
      const store = open(t, redis.url, { client });
      await refuses(store.load("handle"), "STORE_UNAVAILABLE");
      for (const other of others) other.destroy();
      await eventually("a free connection", async () => equal(await store.create("handle", record()), true));
    });
  }

  test("out of memory: reads and logouts work, writes are refused", async (t) => {
    const redis = await server(t);
    const store = open(t, redis.url);
    const session = record({ userId: "ann" });
    for (const handle of ["a", "b", "c"]) await store.create(handle, session);
    await redis.ask("CONFIG", "SET", "maxmemory", "1kb");
    deepEqual(await store.load("a"), session);
    await refuses(store.create("d", session), "STORE_FULL", "OOM");
    await refuses(store.update("a", { ...session, version: 2 }, 1), "STORE_FULL", "OOM");
    await refuses(store.touch("a", session.touchedAt + 1, session.expiresAt + 1), "STORE_FULL", "OOM");
    deepEqual(await store.load("a"), session);
    equal(await store.delete("a"), true);
    equal(await store.update("b", { ...session, version: 2, expiresAt: 0 }, 1), "ok");
    equal(await store.deleteAll({ userId: "ann" }), 1);
    equal(await store.count({ userId: "ann" }), 0);
  });

  test("evicting: warns once, and an evicted session is absent from every list", async (t) => {
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on("warning", listen);
    t.after(() => process.off("warning", listen));
    const redis = await server(
      t,
      "--maxmemory-policy",
      "allkeys-lru",
      "--maxmemory",
      "4mb",
      "--maxmemory-samples",
      "64",
    );
    const store = open(t, redis.url);
    await store.create("handle", record({ userId: "ann" }));
    await store.load("handle");
    await eventually("the warning", async () => equal(warnings.length, 1));
    match(String(warnings[0]?.message), /allkeys-lru.*noeviction/);
    const script = "for i = 1, 400 do redis.call('SET', KEYS[1] .. i, string.rep('x', 10000)) end";
    for (let round = 0; round < 20 && (await redis.ask("DBSIZE")) !== 0; round++) {
      await redis.ask("EVAL", script, "1", `filler${round}`);
      if ((await store.load("handle")) === undefined) break;
    }
    equal(await store.load("handle"), undefined);
    deepEqual(await store.list({ userId: "ann" }), { sessions: [] });
    deepEqual(await store.list({}), { sessions: [] });
    equal(warnings.length, 1);
    for (let n = 0; n < 2; n++) await store.create(`!used:${n}`, record());
    await eventually("the warning of what is worse", async () => equal(warnings.length, 2));
    match(String(warnings[1]?.message), /allkeys-lru.*revoked.*links.*noeviction/);
  });

  test("unable to save to its disk: reads go on, writes are refused", async (t) => {
    const redis = await server(t);
    const store = open(t, redis.url);
    const session = record();
    await store.create("handle", session);
    chmodSync(redis.folder, 0o500);
    await redis.ask("CONFIG", "SET", "save", "3600 1");
    await redis.ask("BGSAVE");
    await eventually("the failure to save", async () => {
      match(String(await redis.ask("INFO", "persistence")), /rdb_last_bgsave_status:err/);
    });
    await refuses(store.update("handle", { ...session, version: 2 }, 1), "STORE_UNAVAILABLE", "MISCONF");
    await refuses(store.delete("handle"), "STORE_UNAVAILABLE", "MISCONF");
    deepEqual(await store.load("handle"), session);
  });

  test("emptied: everyone is logged out, nothing else happens, and new logins work", async (t) => {
    const redis = await server(t);
    const store = open(t, redis.url);
    const { send } = await site(t, store);
    const token = tokenOf(await send("/login", { method: "POST" }));
    await redis.ask("FLUSHALL");
    await redis.ask("SCRIPT", "FLUSH");
    equal((await send("/", { token })).json()["userId"], null);
    equal(await store.update("handle", record({ version: 2 }), 1), "gone");
    equal(await store.touch("handle", 1, Date.now() + 1_000), false);
    equal(await store.delete("handle"), false);
    deepEqual(await store.list({ userId: "ann" }), { sessions: [] });
    const again = tokenOf(await send("/login", { method: "POST", token }));
    equal((await send("/", { token: again })).json()["userId"], "ann");
  });
});

describe("a failover that loses acknowledged writes", { skip: noPrivateRedis ?? false }, () => {
  /** The primary dies with writes that never got to its replica, which is promoted. */
  async function failover(t: TestContext, during: (primary: PrivateRedis) => Promise<void>): Promise<RedisStore> {
    const primary = await server(t);
    const between = await FaultProxy.start(primary.port);
    t.after(() => between.close());
    const replica = await startReplica(between.port);
    t.after(() => replica.stop());
    const store = open(t, primary.url, { wait: { replicas: 1, timeoutMs: 5_000 } });
    equal(await store.create("handle", record()), true);
    between.fault = { kind: "drop" };
    await during(primary);
    await primary.kill();
    await replica.ask("REPLICAOF", "NO", "ONE");
    return open(t, replica.url);
  }

  test("without wait, a logout may be undone", async (t) => {
    const promoted = await failover(t, async (primary) => {
      equal(await open(t, primary.url).delete("handle"), true);
    });
    ok((await promoted.load("handle")) !== undefined, "this is what asynchronous replication is");
  });

  for (const client of packages) {
    test(`with wait, such a logout was never acknowledged (${client})`, async (t) => {
      await failover(t, async (primary) => {
        const careful = open(t, primary.url, { client, wait: { replicas: 1, timeoutMs: 100 } });
        await refuses(careful.delete("handle"), "STORE_UNAVAILABLE");
        await refuses(careful.create("other", record({ userId: "ann" })), "STORE_UNAVAILABLE");
        equal(await careful.load("handle"), undefined, "the primary has it");
      });
    });
  }
});
