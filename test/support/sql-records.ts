import type { SessionRecord } from "../../src/contract/store.ts";

/** A record created and used now, which ends in an hour, with whatever should be different. */
export function recordAt(now: number, different: Partial<SessionRecord> = {}): SessionRecord {
  return {
    payload: '{"views":1}',
    version: 1,
    secretHash: "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
    userId: "user",
    createdAt: now,
    touchedAt: now,
    expiresAt: now + 3_600_000,
    ...different,
  };
}
