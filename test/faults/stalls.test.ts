import { equal } from "node:assert/strict";
import { after, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { IndexedStore } from "../../src/index.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { wrapStore } from "../../src/wrap/wrap.ts";
import { tokenOf } from "../support/client.ts";
import { increment, startSite } from "../support/express-site.ts";
import { dropMysqlTables, sharedMysql } from "../support/servers/mariadb.ts";
import { dropTables, sharedPostgres } from "../support/servers/postgres.ts";
import { tableName } from "../support/servers/private-process.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";

const table = tableName();
/** The store's and the request's; a computation that keeps the event loop busy takes longer. */
const DEADLINE_MS = 200;
const STALL_MS = 400;

const subjects: readonly { name: string; skip: string | undefined; open(): IndexedStore; remove(): Promise<void> }[] = [
  {
    name: "RedisStore",
    skip: sharedRedis.skip,
    open: () => new RedisStore(sharedRedis.url, { prefix: keyPrefix() }),
    remove: () => removeKeys(sharedRedis.url),
  },
  {
    name: "PostgresStore",
    skip: sharedPostgres.skip,
    open: () => new PostgresStore(sharedPostgres.url, { table, timeoutMs: DEADLINE_MS }),
    remove: () => dropTables(sharedPostgres.url, table),
  },
  {
    name: "MysqlStore",
    skip: sharedMysql.skip,
    open: () => new MysqlStore(sharedMysql.url, { table, timeoutMs: DEADLINE_MS }),
    remove: () => dropMysqlTables(sharedMysql.url, table),
  },
];

function stall(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
}

for (const { name, skip, open, remove } of subjects) {
  test(`${name}: an answer that came while the event loop stalled is in time`, { skip }, async (t) => {
    const real = open();
    after(remove);
    let stalls = false;
    const store = wrapStore(real, {
      async around(_operation, call) {
        const answer = call();
        if (stalls) {
          // The question leaves; the answer is there when the process wakes up, and so is the end of its time.
          await turn();
          await turn();
          stall();
        }
        return answer;
      },
    });
    const options = { store, storeTimeout: { read: DEADLINE_MS, commit: DEADLINE_MS } };
    const site = await startSite(t, options, (app) => {
      app.post("/count", (req, res) => {
        increment(req.session);
        res.json({ ...req.session });
      });
    });
    // Connected, and everything prepared; a machine that is busy may take longer than such short deadlines.
    const counted = async (token: string | undefined) => {
      for (;;) {
        const reply = await site.send("/count", { method: "POST", ...(token !== undefined && { token }) });
        if (reply.status === 200) return reply;
      }
    };
    const token = tokenOf(await counted(undefined));
    await counted(token);
    stalls = true;
    // Its server may be slower than the stall once, not each time.
    let status = 0;
    for (let tries = 0; tries < 5 && status !== 200; tries++) {
      ({ status } = await site.send("/count", { method: "POST", token }));
    }
    equal(status, 200);
  });
}
