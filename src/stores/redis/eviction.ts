import type { Connection } from "./client.ts";
import { textOf } from "./replies.ts";

const CONSEQUENCES = {
  sessions: "it drops sessions, which logs users out. Give sessions",
  notes: "it forgets revoked sessions and used sign-in links, which then work again. Give sessions and revocations",
};
type Kind = keyof typeof CONSEQUENCES;

const warned = new Set<Kind>();

/**
 * Returns a function that checks once whether the server may evict a kind of data, and warns once
 * per process. A server evicts under every policy except noeviction, once it has a limit. Sessions
 * have a TTL, so the `volatile-` policies evict them too.
 */
export function evictionWarnings(connection: Connection, key: string): (kind: Kind) => void {
  const checked = new Set<Kind>();
  return (kind) => {
    if (checked.has(kind)) return;
    checked.add(kind);
    // Failures are ignored: this is advice, and no session depends on it.
    void warnOfEviction(connection, key, kind).catch(() => {});
  };
}

async function warnOfEviction(connection: Connection, key: string, kind: Kind): Promise<void> {
  if (warned.has(kind)) return;
  const memory = textOf(await connection.send(key, ["INFO", "memory"]));
  const policy = /^maxmemory_policy:([\w-]+)/m.exec(memory)?.[1] ?? "noeviction";
  const isLimited = !/^maxmemory:0\r?$/m.test(memory);
  if (policy === "noeviction" || !isLimited || warned.has(kind)) return;
  warned.add(kind);
  process.emitWarning(
    `Redis has the maxmemory-policy ${policy}: when its memory is full ${CONSEQUENCES[kind]} ` +
      "a server with `maxmemory-policy noeviction`.",
    { code: "SOJOURN_REDIS_EVICTION" },
  );
}
