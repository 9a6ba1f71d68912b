import { noPrivateMariadb, PrivateMariadb, sharedMysql } from "../test/support/servers/mariadb.ts";
import { noPrivatePostgres, PrivatePostgres, sharedPostgres } from "../test/support/servers/postgres.ts";
import { noPrivateRedis, PrivateRedis, sharedRedis } from "../test/support/servers/redis.ts";

/**
 * Starts a database server for the time of the tests where none is found but its programs are on the machine, and tells the tests by the
 * environment. Where neither is there, tests skip. @returns what ends them again
 */
export async function startMissingServers(): Promise<() => Promise<void>> {
  const started: { stop(): Promise<void> }[] = [];
  if (sharedRedis.skip !== undefined && noPrivateRedis === undefined && !process.env.REDIS_URL) {
    const server = await PrivateRedis.start();
    process.env.REDIS_URL = server.url;
    started.push(server);
  }
  if (sharedPostgres.skip !== undefined && noPrivatePostgres === undefined && !process.env.DATABASE_URL) {
    const server = await PrivatePostgres.start({ max_connections: "200" });
    process.env.DATABASE_URL = server.url();
    started.push(server);
  }
  if (sharedMysql.skip !== undefined && noPrivateMariadb === undefined && !process.env.MYSQL_URL) {
    const server = await PrivateMariadb.start();
    process.env.MYSQL_URL = server.url();
    started.push(server);
  }
  return async () => {
    for (const server of started) await server.stop();
  };
}
