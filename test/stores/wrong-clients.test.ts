import { doesNotThrow, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { Redis } from "ioredis";
import { createConnection, createPool, createPoolCluster } from "mysql2";
import { createPool as createPromisePool } from "mysql2/promise";
import pg from "pg";
import { createClient } from "redis";
import { FileStore } from "../../src/stores/file.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";

/** None of them connects: but for the connection of mysql2, which does at once and is told not to. */
const clients = {
  "a Client of pg": new pg.Client(),
  "a Pool of pg": new pg.Pool(),
  "a connection of mysql2": idle(createConnection({ host: "127.0.0.1", port: 1 })),
  "a pool of mysql2": createPool({}),
  "a pool of mysql2/promise": createPromisePool({}),
  "a part of a cluster of mysql2": createPoolCluster().of("*"),
  "a client of redis": createClient(),
  "a client of ioredis": new Redis({ lazyConnect: true }),
  "a function": () => undefined,
  null: null,
};
type Name = keyof typeof clients;

const stores: readonly (readonly [new (...args: never[]) => object, ...Name[]])[] = [
  [PostgresStore, "a Pool of pg"],
  [MysqlStore, "a pool of mysql2", "a pool of mysql2/promise"],
  [RedisStore, "a client of redis", "a client of ioredis"],
  [SqliteStore],
  [FileStore],
];

for (const [Store, ...right] of stores) {
  describe(`${Store.name} looks at construction whether it was given its own package's client:`, () => {
    for (const [name, client] of Object.entries(clients)) {
      const build = () => Reflect.construct(Store, [client]);
      if (right.some((one) => one === name)) test(`${name} will do`, () => doesNotThrow(build));
      else
        test(`${name} is refused, by a TypeError that says what is wanted`, () =>
          throws(build, { name: "TypeError", message: new RegExp(`^${Store.name}: .*(?:must be|needs)`) }));
    }
  });
}

function idle(connection: ReturnType<typeof createConnection>): object {
  connection.on("error", () => undefined);
  connection.destroy();
  return connection;
}
