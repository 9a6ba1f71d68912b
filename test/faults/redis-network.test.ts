import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { SojournError } from "../../src/contract/errors.ts";
import { RedisStore, type RedisStoreOptions } from "../../src/stores/redis.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { tokenOf } from "../support/client.ts";
import { startSite } from "../support/express-site.ts";
import { packages, record, refuses } from "../support/redis-records.ts";
import { eventually } from "../support/servers/private-process.ts";
import { blackhole, FaultProxy } from "../support/servers/proxy.ts";
import { noPrivateRedis, PrivateRedis } from "../support/servers/redis.ts";
import { ALL, beforeLogin, eachStep, loginOf, NOTHING, storedOf } from "./admissions.ts";

/** A server with a proxy before it, and a store on the other side of the proxy. */
async function scene(t: TestContext, options: RedisStoreOptions = {}, settings: string[] = [], seed = 1) {
  const redis = await PrivateRedis.start(...settings);
  const proxy = await FaultProxy.start(redis.port, { seed });
  const store = new RedisStore(`redis://127.0.0.1:${proxy.port}`, options);
  t.after(async () => {
    await proxy.close();
    await store.close();
    await redis.stop();
  });
  const direct = new RedisStore(redis.url);
  t.after(() => direct.close());
  return { redis, proxy, store, direct };
}

describe("a network that fails between the store and Redis", { skip: noPrivateRedis ?? false }, () => {
  for (const client of packages) {
    test(`killed while a write is half sent: the old version or the new one, never a mixture (${client})`, async (t) => {
      const { redis, proxy, store } = await scene(t, { client }, ["--appendonly", "yes", "--appendfsync", "always"]);
      const old = record({ payload: "old ".repeat(2_000) });
      await store.create("handle", old);
      equal(await store.update("handle", { ...old, version: 2 }, 1), "ok");
      proxy.fault = { kind: "stall", afterBytes: 4_000 };
      const update = refuses(
        store.update("handle", { ...old, payload: "new ".repeat(2_000), version: 3 }, 2),
        "STORE_UNAVAILABLE",
      );
      await eventually("the arrival of the first half", async () => {
        ok(Number(/tot-net-in=(\d+)|qbuf=(\d{4,})/.exec(String(await redis.ask("CLIENT", "LIST")))?.[2]) > 0);
      });
      await redis.kill();
      await update;
      proxy.fault = { kind: "pass" };
      await redis.start();
      await eventually("the recovery", async () => deepEqual(await store.load("handle"), { ...old, version: 2 }));
    });

    test(`a reply that is lost: the write is found to be done (${client})`, async (t) => {
      const { proxy, store, direct } = await scene(t, { client });
      const old = record();
      for (const handle of ["updated", "overtaken"]) await store.create(handle, old);
      const lost = async <T>(write: Promise<T>, isDone: () => Promise<void>): Promise<T> => {
        // Whatever becomes of it is awaited below.
        write.catch(() => undefined);
        await eventually("the write's arrival", isDone);
        proxy.fault = { kind: "pass" };
        proxy.resetAll();
        return write;
      };
      const next = { ...old, payload: "next", version: 2 };

      proxy.fault = { kind: "drop", from: "server" };
      const updated = lost(store.update("updated", next, 1), async () =>
        equal((await direct.load("updated"))?.version, 2),
      );
      equal(await updated, "ok");

      proxy.fault = { kind: "drop", from: "server" };
      const created = lost(store.create("created", old), async () => deepEqual(await direct.load("created"), old));
      equal(await created, true);

      proxy.fault = { kind: "drop", from: "server" };
      const touched = lost(store.touch("created", old.touchedAt + 1, old.expiresAt + 1), async () =>
        equal((await direct.load("created"))?.touchedAt, old.touchedAt + 1),
      );
      equal(await touched, true);

      proxy.fault = { kind: "drop", from: "server" };
      const fresh = record({ secretHash: "fresh", userId: "ann" });
      const replaced = lost(store.replace("updated", 2, "fresh", fresh), async () =>
        deepEqual(await direct.load("fresh"), fresh),
      );
      equal(await replaced, "ok");
      equal(await direct.load("updated"), undefined);

      // Somebody wrote after it: whoever merged and wrote again would do the same thing twice.
      proxy.fault = { kind: "drop", from: "server" };
      const overtaken = lost(store.update("overtaken", next, 1), async () => {
        equal((await direct.load("overtaken"))?.version, 2);
        equal(await direct.update("overtaken", { ...next, version: 3 }, 2), "ok");
      });
      await refuses(overtaken, "STORE_UNAVAILABLE");

      // Nothing is left that could tell who ended it.
      proxy.fault = { kind: "drop", from: "server" };
      const ended = lost(store.update("updated", { ...next, version: 3, expiresAt: 0 }, 2), async () =>
        equal(await direct.load("updated"), undefined),
      );
      await refuses(ended, "STORE_UNAVAILABLE");
    });

    for (const from of ["client", "server"] as const) {
      const what = from === "client" ? "login within a limit" : "reply to a login within a limit";

      test(`a ${what} that is lost: done once, by the second try (${client})`, async (t) => {
        const { proxy, store, direct } = await scene(t, { client });
        await store.load("connects");
        const steps = await eachStep(proxy, { from, next: { kind: "pass" } }, async (step, meanwhile) => {
          const userId = `user${step}`;
          const admission = await beforeLogin(direct, userId);
          const result = await meanwhile(() => store.admit(admission));
          const wasDone = from === "server" && step === 1;
          deepEqual(result, { result: "ok", revoked: wasDone ? [] : [`${userId}.old0`, `${userId}.old1`] });
          deepEqual(await storedOf(direct, admission), ALL);
          deepEqual(await store.admit(admission), { result: "ok", revoked: [] });
          equal(await direct.count({ userId }), 2);
          const only = loginOf(`only${step}`, "only", { limit: 1, exceed: "refuse" });
          deepEqual(await meanwhile(() => store.admit(only)), { result: "ok", revoked: [] });
          const refused = loginOf(`only${step}`, "refused", { limit: 1, exceed: "refuse" });
          deepEqual(await meanwhile(() => store.admit(refused)), { result: "limit" });
          deepEqual((await direct.list({ userId: `only${step}` })).sessions, [only.session]);
        });
        equal(steps, 1);
      });

      test(`a ${what} that is lost, and the second try too: all of it or nothing (${client})`, async (t) => {
        const { proxy, store, direct } = await scene(t, { client });
        await store.load("connects");
        const admission = await beforeLogin(direct, "ann");
        const next = { kind: "reset", share: 1, afterBytes: 0 } as const;
        proxy.fault = { kind: "cut", from, roundTrip: proxy.roundTrips + 1, next };
        await refuses(store.admit(admission), "STORE_UNAVAILABLE");
        proxy.fault = { kind: "pass" };
        deepEqual(await storedOf(direct, admission), from === "server" ? ALL : NOTHING);
        const repeated = await eventually("the recovery", () => store.admit(admission));
        equal(repeated.result, "ok");
        deepEqual(await storedOf(direct, admission), ALL);
        deepEqual(await store.admit(loginOf("ann", "next")), { result: "ok", revoked: ["ann.old2"] });
        equal(await direct.count({ userId: "ann" }), 2);
      });
    }

    test(`slow: served within the deadline, refused after it, and served again (${client})`, async (t) => {
      const { proxy, store } = await scene(t, { client });
      const { send } = await startSite(t, { store, storeTimeout: { read: "800ms", commit: "800ms" } }, (app) => {
        app.get("/", (req, res) => res.json({ userId: req.session.userId }));
        app.post("/login", async (req, res) => {
          await req.session.login("ann");
          res.json({});
        });
      });
      await store.load("connects");
      const token = tokenOf(await send("/login", { method: "POST" }));
      proxy.fault = { kind: "delay", ms: 20 };
      equal((await send("/", { token })).json()["userId"], "ann");
      proxy.fault = { kind: "delay", ms: 1_000 };
      const late = await send("/", { token });
      deepEqual([late.status, late.json()["code"], late.cookie], [503, "STORE_TIMEOUT", "kept"]);
      proxy.fault = { kind: "pass" };
      await eventually("the recovery", async () => equal((await send("/", { token })).json()["userId"], "ann"));
    });

    for (const fault of [{ kind: "drop" }, { kind: "bandwidth", bytesPerSecond: 100 }] as const) {
      test(`silent for two seconds (${fault.kind}): another connection takes over (${client})`, async (t) => {
        const clock = new ManualClock();
        const { proxy, store } = await scene(t, { client, clock });
        const now = clock.now();
        const session = {
          ...record({ payload: "x".repeat(10_000) }),
          createdAt: now,
          touchedAt: now,
          expiresAt: now + 60_000,
        };
        await store.create("handle", session);
        proxy.fault = fault;
        const hanging = refuses(store.load("handle"), "STORE_UNAVAILABLE");
        // Now it is under way.
        await new Promise(setImmediate);
        const opened = proxy.opened;
        clock.advance(2_001);
        proxy.fault = { kind: "pass" };
        deepEqual(await store.load("handle"), session);
        equal(proxy.opened, opened + 1);
        await hanging;
      });
    }

    test(`silent while so much waits that no more is let through: given up all the same (${client})`, async (t) => {
      const clock = new ManualClock();
      const { proxy, store } = await scene(t, { client, clock });
      await store.load("connects");
      proxy.fault = { kind: "drop" };
      const waiting = Array.from({ length: 1_100 }, () => refuses(store.load("handle"), "STORE_UNAVAILABLE"));
      await new Promise(setImmediate);
      clock.advance(2_001);
      await refuses(store.load("handle"), "STORE_UNAVAILABLE");
      await Promise.all(waiting);
      proxy.fault = { kind: "pass" };
      await eventually("another connection", async () => equal(await store.load("nobody"), undefined));
    });

    test(`ended by one side only: opened anew (${client})`, async (t) => {
      const { proxy, store } = await scene(t, { client });
      const session = record();
      await store.create("handle", session);
      proxy.fault = { kind: "half-close" };
      // What had to go over a second connection that ended too is refused.
      const load = store.load("handle").then(
        (loaded) => deepEqual(loaded, session),
        (error) => equal(error.code, "STORE_UNAVAILABLE"),
      );
      await eventually("a second connection", async () => ok(proxy.opened > 1));
      proxy.fault = { kind: "pass" };
      await load;
      await eventually("the recovery", async () => deepEqual(await store.load("handle"), session));
    });

    test(`reset again and again: no write happens twice, and few reads fail (${client})`, async (t) => {
      const { proxy, store, direct } = await scene(t, { client });
      await store.create("counter", record({ payload: "0" }));
      proxy.fault = { kind: "reset", share: 0.2, afterBytes: 300 };
      let failedReads = 0;
      let acknowledged = 0;
      let unknown = 0;
      for (let i = 0; i < 300; i++) {
        const current = await store.load("counter").catch((error) => {
          equal(error.code, "STORE_UNAVAILABLE");
          failedReads++;
        });
        if (current === undefined) {
          // Down: wait until it is up.
          await eventually("a connection", async () => ok(await store.load("counter")));
          continue;
        }
        const next = { ...current, payload: String(Number(current.payload) + 1), version: current.version + 1 };
        try {
          const result = await store.update("counter", next, current.version);
          equal(result, "ok", "nobody else writes");
          acknowledged++;
        } catch (error) {
          ok(error instanceof SojournError && error.code === "STORE_UNAVAILABLE");
          unknown++;
        }
      }
      const counted = Number((await direct.load("counter"))?.payload);
      ok(
        acknowledged <= counted && counted <= acknowledged + unknown,
        `${acknowledged} ≤ ${counted} ≤ ${acknowledged + unknown}`,
      );
      ok(proxy.opened > 20, "there were resets");
      // Of a fifth that meet a reset, a fifth meet another one when they are sent again.
      ok(failedReads < 300 * 0.2 * 0.2 * 2, `${failedReads} of 300 reads failed`);
    });

    test(`damaged bytes: an error, or nothing, never another session (${client})`, async (t) => {
      const { proxy, store, direct } = await scene(t, { client }, [], 7);
      const sessions = Array.from({ length: 8 }, (_, n) =>
        record({ payload: String(n).repeat(900), userId: `user${n}`, secretHash: `hash${n}` }),
      );
      for (const [n, session] of sessions.entries()) await direct.create(`handle${n}`, session);
      await store.load("handle0");
      proxy.fault = { kind: "corrupt" };
      let errors = 0;
      for (let round = 0; round < 40; round++) {
        await Promise.all(
          sessions.map(async (session, n) => {
            try {
              const loaded = await Promise.race([
                store.load(`handle${n}`),
                new Promise<never>((_, reject) => setTimeout(reject, 500, new SojournError("STORE_TIMEOUT", "late"))),
              ]);
              if (loaded !== undefined) deepEqual(withoutTimes(loaded), withoutTimes(session));
            } catch (error) {
              if (!(error instanceof SojournError)) throw error;
              errors++;
            }
          }),
        );
      }
      ok(errors > 0);
      proxy.fault = { kind: "pass" };
      proxy.resetAll();
      await eventually("the recovery", async () => deepEqual(await store.load("handle3"), sessions[3]));
    });
  }

  test("nobody answers the attempt to connect: refused", async (t) => {
    const hole = await blackhole();
    t.after(() => hole.close());
    await Promise.all(
      packages.map(async (client) => {
        const store = new RedisStore(`redis://127.0.0.1:${hole.port}`, { client });
        await refuses(store.load("handle"), "STORE_UNAVAILABLE");
        await store.close();
      }),
    );
  });
});

/** The two times that move are not in the checksum. */
function withoutTimes({
  touchedAt: _,
  expiresAt: __,
  ...rest
}: object & { touchedAt: number; expiresAt: number }): object {
  return rest;
}
