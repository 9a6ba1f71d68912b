import type { Connection } from "./client.ts";
import { textOf } from "./replies.ts";

let warned = false;

/**
 * Warns once where the server may drop sessions to make room for others: under every policy but noeviction, once it has a
 * limit. Sessions have a time to live, so the `volatile-` policies take them too. What can't be found out is not warned of.
 */
export async function warnOfEviction(connection: Connection, key: string): Promise<void> {
  try {
    const memory = textOf(await connection.send(key, ["INFO", "memory"]));
    const policy = /^maxmemory_policy:([\w-]+)/m.exec(memory)?.[1] ?? "noeviction";
    const isLimited = !/^maxmemory:0\r?$/m.test(memory);
    if (policy === "noeviction" || !isLimited || warned) return;
    warned = true;
    process.emitWarning(
      `Redis has the maxmemory-policy ${policy}: when its memory is full it drops sessions, and so signs people out. ` +
        "Give sessions a server with `maxmemory-policy noeviction`.",
      { code: "SOJOURN_REDIS_EVICTION" },
    );
  } catch {
    // Not allowed to ask, or not connected: this is advice, and no session depends on it.
  }
}
