import { deepEqual, equal, ok } from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { resilient } from "../../src/index.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { faulty, ManualClock } from "../../src/testing/index.ts";
import { eventually } from "../support/servers/private-process.ts";
import { FaultProxy } from "../support/servers/proxy.ts";
import { noPrivateRedis, PrivateRedis } from "../support/servers/redis.ts";
import { type Handler, site, type Visitor } from "../support/site.ts";

const VISITORS = 8;

const handler: Handler = (req, res) => {
  const { session } = req;
  if (req.url?.startsWith("/set")) Object.assign(session, { is: req.url });
  res.end(JSON.stringify(session));
};

/** A site whose store is a Redis server of its own behind a proxy, and visitors with sessions. Time is the test's. */
async function scene(t: TestContext) {
  const redis = await PrivateRedis.start("--appendonly", "yes", "--appendfsync", "always");
  const proxy = await FaultProxy.start(redis.port);
  t.after(async () => {
    await proxy.close();
    redis.thaw();
    await redis.stop();
  });
  const clock = new ManualClock();
  const { store: counted, calls } = faulty(new RedisStore(`redis://127.0.0.1:${proxy.port}`, { clock }));
  const store = resilient(counted, { clock, random: () => 0.5 });
  const one = await site(t, { store, clock, idleTimeout: "30d", absoluteTimeout: "60d" }, handler);
  const visitors = await Promise.all(
    Array.from({ length: VISITORS }, async (_, n) => {
      const visitor = one.visitor();
      await visitor.get(`/set${n}`);
      return visitor;
    }),
  );
  return { redis, proxy, clock, calls, store, one, visitors };
}

/** How an outage begins and ends. */
const outages: Record<string, [begin: (at: Servers) => unknown, end: (at: Servers) => unknown]> = {
  "a frozen server": [({ redis }) => redis.freeze(), ({ redis }) => redis.thaw()],
  "a killed server": [({ redis }) => redis.kill(), ({ redis }) => redis.start()],
  "a network that swallows everything": [
    ({ proxy }) => {
      proxy.fault = { kind: "drop" };
    },
    ({ proxy }) => {
      proxy.fault = { kind: "pass" };
      // Connections from before are as good as dead.
      proxy.resetAll();
    },
  ],
};
type Servers = { redis: PrivateRedis; proxy: FaultProxy };

describe("resilient() in front of Redis", { skip: noPrivateRedis ?? false }, () => {
  for (const [outage, [begin, end]] of Object.entries(outages)) {
    test(`${outage}: five requests find out, the others fail at once, and old cookies work afterwards`, async (t) => {
      const { redis, proxy, clock, calls, store, one, visitors } = await scene(t);
      const status = async (visitor: Visitor) => (await visitor.get()).status;
      const before = calls.length;
      for (const answer of await Promise.all(visitors.map(status))) equal(answer, 200);
      const steady = calls.length - before;

      await begin({ redis, proxy });
      const reached = calls.length;
      const finding = Promise.all(visitors.slice(0, 5).map(status));
      while (calls.length < reached + 5) await turn();
      clock.advance(1_000);
      deepEqual(await finding, [503, 503, 503, 503, 503]);
      equal(store.state, "open");

      // From here on the clock stands still for each request: it waits for nothing.
      const asked = calls.length;
      for (const visitor of visitors) {
        const { status: refused, setCookies, headers } = await visitor.get();
        deepEqual([refused, setCookies, headers["retry-after"]], [503, [], "1"]);
      }
      equal(await status(one.visitor()), 200, "who has no session needs no store");
      equal(calls.length, asked);

      // A minute of requests, two a second.
      const attempts: number[] = [];
      const answers: Promise<unknown>[] = [];
      for (let i = 0; i < 120; i++) {
        clock.advance(500);
        const count = calls.length;
        let isAnswered = false;
        const visitor = visitors[i % VISITORS];
        ok(visitor);
        answers.push(
          status(visitor).then((code) => {
            equal(code, 503);
            isAnswered = true;
          }),
        );
        while (!isAnswered && calls.length === count) await turn();
        if (calls.length > count) attempts.push(clock.now());
      }
      for (const [i, at] of attempts.entries()) ok(i === 0 || at - (attempts[i - 1] ?? 0) >= 1_000, String(attempts));
      ok(attempts.length >= 3 && attempts.length <= 12, `${attempts.length} attempts in a minute`);
      clock.advance(1_000);
      await Promise.all(answers);

      await end({ redis, proxy });
      await eventually("the recovery", async () => {
        clock.advance(30_000);
        equal(await status(visitors[0] ?? one.visitor()), 200);
      });
      equal(store.state, "closed");
      const recovered = calls.length;
      for (const [n, visitor] of visitors.entries()) equal((await visitor.get()).text, `{"is":"/set${n}"}`);
      ok(calls.length - recovered <= 2 * steady, "each a load, and a touch that is due");
    });
  }
});
