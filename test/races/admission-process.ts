import { writeSync } from "node:fs";
import type { IndexedStore } from "../../src/contract/store.ts";
import { FileStore } from "../../src/stores/file.ts";
import { MysqlStore } from "../../src/stores/mysql.ts";
import { PostgresStore } from "../../src/stores/postgres.ts";
import { RedisStore } from "../../src/stores/redis.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";

/** A process that logs one user in, again and again: `node admission-process.ts <store> <place> <table> <exceed> <logins>`. */

export const LIMIT = 2;
/** Longer than any test, by the system's clock, which several processes share. */
const LIFE_MS = 3_600_000;

const timeoutMs = 60_000;

export const stores: Record<string, (place: string, table: string) => IndexedStore> = {
  file: (place) => new FileStore(place),
  sqlite: (place) => new SqliteStore(`${place}/sessions.db`, { busyTimeout: timeoutMs }),
  redis: (place, table) => new RedisStore(place, { prefix: table }),
  postgres: (place, table) => new PostgresStore(place, { table, timeoutMs }),
  mysql: (place, table) => new MysqlStore(place, { table, timeoutMs }),
};

async function logIn(
  store: IndexedStore,
  exceed: "refuse" | "revoke-oldest",
  logins: number,
  start: Promise<void>,
): Promise<void> {
  // Connected, and the table is there.
  await store.count({ userId: "user" });
  writeSync(1, "ready\n");
  await start;
  for (let n = 0; n < logins; n += 4) {
    const results = await Promise.all(
      [n, n + 1, n + 2, n + 3].map(async (number) => {
        const now = Date.now();
        const handle = `${process.pid}-${number}`;
        const record = { payload: "payload", version: 1, secretHash: handle, userId: "user" };
        const session = { handle, ...record, createdAt: now, touchedAt: now, expiresAt: now + LIFE_MS };
        const result = await store.admit?.({ session, limit: LIMIT, exceed });
        return result?.result === "ok" ? `ok ${handle} ${result.revoked.join(" ")}`.trim() : result?.result;
      }),
    );
    writeSync(1, `${results.join("\n")}\n`);
  }
}

if (import.meta.main) {
  const [, , name = "", place = "", table = "", exceed, logins] = process.argv;
  const store = stores[name]?.(place, table);
  if (store === undefined) throw new Error(`no store ${name}`);
  const start = new Promise<void>((resolve) => process.stdin.once("data", () => resolve()));
  await logIn(store, exceed === "refuse" ? "refuse" : "revoke-oldest", Number(logins), start);
  await store.close();
  process.stdin.destroy();
}
