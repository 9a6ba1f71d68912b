import { hash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type { SessionRecord } from "../../src/contract/store.ts";
import { SqliteStore } from "../../src/stores/sqlite.ts";

/** All sessions end this long after the run; none expires in it. */
const LIFETIME_MS = 86_400_000;

/** The n-th session's handle: random to look at, as real ones are, and the same in every process. */
export function handleOf(n: number): string {
  return hash("sha256", `session ${n}`, "buffer").toString("base64url", 0, 16);
}

/** Of every session. */
const secret = "s".repeat(32);
const secretHash = hash("sha256", secret, "base64url");

/** What opens the n-th session where no key is configured. */
export function tokenOf(n: number): string {
  return `${handleOf(n)}.${secret}`;
}

/** Some 500 characters each: two small properties, and a large one that requests leave alone. */
const payloads = Array.from({ length: 256 }, (_, n) => {
  const [views, cart] = [String(100 + n), JSON.stringify(n.toString().padStart(8, "0").repeat(56))];
  return `[0,"views",${views.length},"cart",${cart.length}]\n${views}${cart}`;
});

/** Made in nanoseconds. Each version has another payload: SQLite logs only what changes. */
export function recordOf(n: number, version: number): SessionRecord {
  const now = Date.now();
  const payload = payloads[(n * 31 + version) & 255] ?? "";
  const userId = n % 2 === 0 ? null : `user${n}`;
  return { payload, version, secretHash, userId, createdAt: now, touchedAt: now, expiresAt: now + LIFETIME_MS };
}

/** A store's file with sessions 0 to count, each of version 1. Not by the store itself: a million would take a minute. */
export async function fillFile(path: string, count: number): Promise<void> {
  await new SqliteStore(path).close();
  const database = new DatabaseSync(path);
  database.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA journal_mode = OFF; BEGIN");
  const insert = database.prepare(`
    INSERT INTO sojourn_sessions
      (handle, payload, version, secret_hash, user_id, created_at, touched_at, expires_at, sweep_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  for (let n = 0; n < count; n++) {
    const { payload, version, userId, createdAt, touchedAt, expiresAt } = recordOf(n, 1);
    insert.run(handleOf(n), payload, version, secretHash, userId, createdAt, touchedAt, expiresAt, expiresAt);
  }
  database.exec("COMMIT; PRAGMA journal_mode = WAL");
  database.close();
}
