import { equal } from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { dropMysqlTables, sharedMysql } from "../support/servers/mariadb.ts";
import { dropTables, sharedPostgres } from "../support/servers/postgres.ts";
import { tableName } from "../support/servers/private-process.ts";
import { keyPrefix, removeKeys, sharedRedis } from "../support/servers/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const run = promisify(execFile);
const prefix = keyPrefix();
const table = tableName();
const { folder, remove } = temporaryFolder();

/** Long enough for a busy machine; a process that hangs is killed, and its test fails. */
const HANGS_MS = 30_000;

const stores: readonly (readonly [name: string, url: string, options: object, skip?: string | undefined])[] = [
  ["MemoryStore", "memory:", {}],
  ["SqliteStore", `sqlite:${join(folder, "sessions.db")}`, {}],
  ["FileStore", `file:${join(folder, "files")}`, {}],
  ["RedisStore on redis", sharedRedis.url, { redis: { client: "redis", prefix } }, sharedRedis.skip],
  ["RedisStore on ioredis", sharedRedis.url, { redis: { client: "ioredis", prefix } }, sharedRedis.skip],
  ["PostgresStore", sharedPostgres.url, { postgres: { table } }, sharedPostgres.skip],
  ["MysqlStore", sharedMysql.url, { mysql: { table } }, sharedMysql.skip],
];

describe("a process ends by itself once its server is closed", { concurrency: 2 }, () => {
  for (const [name, url, options, skip] of stores) {
    for (const end of ["", "close"]) {
      test(`with ${name} of a URL, ${end === "" ? "left open" : "closed"}`, { skip: skip ?? false }, async () => {
        const args = [join(import.meta.dirname, "exit-child.ts"), url, JSON.stringify(options), end];
        const { stdout } = await run(process.execPath, args, { timeout: HANGS_MS, killSignal: "SIGKILL" });
        equal(stdout, "ok\ndone\n");
      });
    }
  }
});

after(async () => {
  remove();
  if (sharedRedis.skip === undefined) await removeKeys(sharedRedis.url);
  if (sharedPostgres.skip === undefined) await dropTables(sharedPostgres.url, table);
  if (sharedMysql.skip === undefined) await dropMysqlTables(sharedMysql.url, table);
});
