import { deepEqual, equal, ok } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { RedisStore } from "../../src/stores/redis.ts";
import { tokenOf } from "../support/client.ts";
import { put, startSite } from "../support/express-site.ts";
import { packages, record } from "../support/redis-records.ts";
import { FaultProxy } from "../support/servers/proxy.ts";
import { noPrivateRedis, PrivateRedis } from "../support/servers/redis.ts";

/**
 * What each operation costs, by the server's own count. `INFO commandstats` counts what a script calls as well as the
 * script: `evalsha` is what came over the network, and what a script does to keys stands beside it.
 */
describe("the price of an operation on Redis", { skip: noPrivateRedis ?? false }, async () => {
  if (noPrivateRedis !== undefined) return;
  const redis = await PrivateRedis.start();
  const proxy = await FaultProxy.start(redis.port);
  after(async () => {
    await proxy.close();
    await redis.stop();
  });

  /** The commands that the server ran meanwhile. */
  async function commandsOf(work: () => unknown): Promise<Record<string, number>> {
    await redis.ask("CONFIG", "RESETSTAT");
    await work();
    const stats = String(await redis.ask("INFO", "commandstats"));
    const ours = /^cmdstat_(?!info|config|hello|client|select|ping|command)([\w|]+):calls=(\d+)/gm;
    return Object.fromEntries([...stats.matchAll(ours)].map(([, name, calls]) => [name, Number(calls)]));
  }

  for (const client of packages) {
    test(`one round trip each (${client})`, async () => {
      const store = new RedisStore(`redis://127.0.0.1:${proxy.port}`, { client, prefix: `${client}:` });
      const session = record();
      const owned = record({ userId: "ann" });
      // The first time a script is sent as text, and the server is asked what it calls it.
      await store.create("warm", owned);
      await store.update("warm", { ...owned, version: 2 }, 1);
      await store.touch("warm", owned.touchedAt + 1, owned.expiresAt + 1);
      await store.replace("warm", 2, "warmer", owned);
      await store.delete("warmer");

      const operations: [work: () => unknown, commands: Record<string, number>][] = [
        [() => store.create("handle", session), { evalsha: 1, getrange: 1, set: 1, zadd: 2 }],
        [() => store.create("owned", owned), { evalsha: 1, getrange: 1, set: 1, zadd: 3 }],
        [() => store.create("owned", owned), { evalsha: 1, getrange: 1, get: 1, zadd: 1 }],
        [() => store.load("owned"), { get: 1 }],
        [() => store.load("unknown"), { get: 1 }],
        [() => store.update("owned", { ...owned, version: 2 }, 1), { evalsha: 1, getrange: 1, set: 1 }],
        [() => store.update("owned", { ...owned, version: 2 }, 1), { evalsha: 1, getrange: 1, get: 1 }],
        [() => store.update("unknown", owned, 1), { evalsha: 1, getrange: 1 }],
        [
          () => store.touch("owned", owned.touchedAt + 1, owned.expiresAt + 1),
          { evalsha: 1, getrange: 1, setrange: 2, pexpire: 1 },
        ],
        [
          () => store.update("owned", { ...owned, version: 3, expiresAt: 0 }, 2),
          { evalsha: 1, getrange: 1, del: 1, zrem: 1 },
        ],
        [
          () => store.replace("handle", 1, "replaced", owned),
          { evalsha: 1, getrange: 2, del: 1, zrem: 1, set: 1, zadd: 3 },
        ],
        [() => store.replace("handle", 1, "again", owned), { evalsha: 1, getrange: 2 }],
        [
          () => store.replace("replaced", 1, "handle", session),
          { evalsha: 1, getrange: 2, del: 1, zrem: 1, set: 1, zadd: 2 },
        ],
        [() => store.delete("handle"), { evalsha: 1, getrange: 1, del: 1, zrem: 1 }],
        [() => store.count(), { zcard: 256 }],
      ];
      for (const [work, commands] of operations) {
        const trips = proxy.roundTrips;
        deepEqual(await commandsOf(work), commands, String(work));
        equal(proxy.roundTrips - trips, 1, String(work));
      }
      await store.close();
    });

    test(`what requests cost (${client})`, async (t) => {
      const store = new RedisStore(redis.url, { client, prefix: `site ${client}:` });
      const { send } = await startSite(t, { store }, (app) => {
        app.get("/untouched", (_req, res) => res.json({}));
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
      // All scripts once, so that the server knows them.
      for (let i = 0; i < 2; i++) {
        const warm = tokenOf(await post("/login"));
        await post("/write", warm);
        await post("/logout", tokenOf(await post("/login", warm)));
      }
      let token = tokenOf(await post("/login"));
      const sent = async (work: () => Promise<unknown>) => {
        const { get = 0, evalsha = 0, eval: byText = 0, ...rest } = await commandsOf(work);
        // Scripts add two entries to sorted sets for a new session, and none for another use.
        ok(byText === 0 && rest["script|load"] === undefined);
        return get + evalsha;
      };
      equal(await sent(() => send("/read")), 0, "a visitor without a cookie");
      equal(await sent(() => send("/read", { token })), 1);
      equal(await sent(() => post("/write", token)), 2);
      equal(
        await sent(async () => {
          token = tokenOf(await post("/login", token));
        }),
        2,
        "a load, and the old session's end with the new one's beginning",
      );
      equal(
        await sent(async () => {
          equal(tokenOf(await post("/login")).length, token.length);
        }),
        1,
        "without a session before: the new one; and its entry in the user's index, with no trip of its own",
      );
      equal(await sent(() => post("/logout", token)), 2);
    });
  }
});
