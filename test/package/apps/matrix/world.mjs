// An application in ES modules.
import * as sojourn from "sojourn";
import cookieSession from "sojourn/cookie-session";
import dropIn, { Store } from "sojourn/express-session";
import DeepStore from "sojourn/express-session/session/store";
import { MysqlStore } from "sojourn/mysql";
import { PostgresStore } from "sojourn/postgres";
import { RedisStore } from "sojourn/redis";
import { SqliteStore } from "sojourn/sqlite";
import { scenario } from "./scenario.cjs";

if (Store !== dropIn.Store || DeepStore !== Store) throw new Error("there are two Stores");
export const done = scenario({
  sojourn,
  sqlite: { SqliteStore },
  redis: { RedisStore },
  postgres: { PostgresStore },
  mysql: { MysqlStore },
  dropIn,
  cookieSession,
  clients: process.env.CLIENTS?.split(",") ?? [],
});
