import type { SessionRecord } from "../../src/contract/store.ts";

/** The versions that a handle goes through, again and again: 1 to 9, then deleted, which is 0 here. */
export function nextVersion(version: number): number {
  return version === 9 ? 0 : version + 1;
}

/** The one record that may be under a handle in this version, so that half of a write would show. */
export function recordOf(handle: string, version: number): SessionRecord {
  const created = 1_700_000_000_000;
  return {
    payload: `${handle} in version ${version};`.repeat(version * 30),
    version,
    secretHash: `secret of ${handle}`,
    userId: `user of ${handle}`,
    createdAt: created,
    touchedAt: created + version,
    expiresAt: 4_000_000_000_000 + version,
  };
}

/** 16 pages, all of which change with each version. */
export function largeRecordOf(version: number): SessionRecord {
  return { ...recordOf("large", 1), payload: `${version}`.padEnd(8).repeat(8_000), version };
}
