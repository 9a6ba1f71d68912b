import type { Connection } from "./client.ts";
import { textOf } from "./replies.ts";

const CONSEQUENCES = {
  sessions: "it drops sessions, and so signs people out. Give sessions",
  notes:
    "it forgets which sessions were revoked and which sign-in links were used, and so they work again. Give sessions and revocations",
};

const warned = new Set<keyof typeof CONSEQUENCES>();

/**
 * Warns once, of each kind of loss, where the server may drop sessions to make room for others: under every policy but noeviction, once it has a
 * limit. Sessions have a time to live, so the `volatile-` policies take them too. What can't be found out is not warned of.
 */
export async function warnOfEviction(
  connection: Connection,
  key: string,
  what: keyof typeof CONSEQUENCES,
): Promise<void> {
  if (warned.has(what)) return;
  try {
    const memory = textOf(await connection.send(key, ["INFO", "memory"]));
    const policy = /^maxmemory_policy:([\w-]+)/m.exec(memory)?.[1] ?? "noeviction";
    const isLimited = !/^maxmemory:0\r?$/m.test(memory);
    if (policy === "noeviction" || !isLimited || warned.has(what)) return;
    warned.add(what);
    process.emitWarning(
      `Redis has the maxmemory-policy ${policy}: when its memory is full ${CONSEQUENCES[what]} ` +
        "a server with `maxmemory-policy noeviction`.",
      { code: "SOJOURN_REDIS_EVICTION" },
    );
  } catch {
    // Not allowed to ask, or not connected: this is advice, and no session depends on it.
  }
}
