import { rejects } from "node:assert/strict";
import type { SojournErrorCode } from "../../src/contract/errors.ts";
import { SojournError } from "../../src/contract/errors.ts";
import type { SessionRecord } from "../../src/contract/store.ts";

/** Both packages, for tests that run with each. */
export const packages = ["redis", "ioredis"] as const;

/** A record made now that lives for a minute, with whatever should be different. */
export function record(different: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now();
  return {
    payload: "payload",
    version: 1,
    secretHash: "hash",
    userId: null,
    createdAt: now,
    touchedAt: now,
    expiresAt: now + 60_000,
    ...different,
  };
}

/** Rejects with one of our errors, whose cause is this word where one is given. */
export async function refuses(work: Promise<unknown>, code: SojournErrorCode, cause?: string): Promise<void> {
  await rejects(work, (error) => {
    if (!(error instanceof SojournError) || error.code !== code) return false;
    return cause === undefined || (error.cause instanceof Error && error.cause.message === cause);
  });
}
