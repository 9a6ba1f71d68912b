import { rejects } from "node:assert/strict";
import { registerHooks } from "node:module";
import { test } from "node:test";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";

/** In this process, no database's client is installed. */
registerHooks({
  resolve(name, context, next) {
    if (!/^(?:redis|ioredis|pg|mysql2(?:\/.*)?)$/.test(name)) return next(name, context);
    throw Object.assign(new Error(`Cannot find package '${name}'`), { code: "ERR_MODULE_NOT_FOUND" });
  },
});

const stores = [
  [() => new RedisStore("redis://127.0.0.1:1"), /npm install redis$/],
  [() => new RedisStore("redis://127.0.0.1:1", { client: "ioredis" }), /npm install ioredis$/],
  [() => new PostgresStore("postgres://app@127.0.0.1:1/app"), /npm install pg$/],
  [() => new MysqlStore("mysql://app@127.0.0.1:1/app"), /npm install mysql2$/],
] as const;

for (const [open, message] of stores) {
  test(`a store whose client is not installed says so: ${message}`, async () => {
    const store = open();
    await rejects(store.load("handle"), { code: "STORE_UNAVAILABLE", message });
    await store.close();
  });
}
