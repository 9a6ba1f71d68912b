import { SKEW_MS } from "./notes.ts";

/** Decides when keys are made, write and go, without a clock or a store. Times are epoch milliseconds. */

/** When a key was made, and from when on it writes. It reads from the beginning. */
export interface KeyTimes {
  readonly madeAt: number;
  readonly writesFrom: number;
}

/** The intervals of one key set. */
export interface KeyPlan {
  /** How long a key writes. */
  rotateMs: number;
  /** How often each process reads the keys. */
  refreshMs: number;
  /** How long a key reads after it no longer writes: as long as anything it made can live. */
  keepMs: number;
}

/**
 * Returns from when on a key that is made now should write; `undefined` if none is due. It is made
 * early enough for every process to know it before one of them writes with it.
 */
export function nextKeyFrom(
  keys: readonly KeyTimes[],
  now: number,
  { rotateMs, refreshMs }: KeyPlan,
): number | undefined {
  if (keys.length === 0) return now;
  const leadMs = 2 * refreshMs + SKEW_MS;
  const due = Math.max(...keys.map(({ writesFrom }) => writesFrom)) + rotateMs;
  return now < due - leadMs ? undefined : Math.max(due, now + leadMs);
}

/** Returns the keys in the order of a ring: the one that writes now, and then the newest first. */
export function inOrder<Key extends KeyTimes>(keys: readonly Key[], now: number): Key[] {
  const newestFirst = keys.toSorted((a, b) => b.writesFrom - a.writesFrom);
  // By a clock that is behind none may write yet: then the oldest one does.
  const writing = newestFirst.find(({ writesFrom }) => writesFrom <= now) ?? newestFirst.at(-1);
  return writing === undefined ? [] : [writing, ...newestFirst.filter((key) => key !== writing)];
}

/** Returns the keys that something which lives may have been made with. */
export function stillNeeded<Key extends KeyTimes>(keys: readonly Key[], now: number, { keepMs }: KeyPlan): Key[] {
  return keys.filter((key) => {
    const later = keys.filter(({ writesFrom }) => writesFrom > key.writesFrom);
    // A key writes until the next one does, and by a clock that is behind a little longer.
    const stopsAt = Math.min(...later.map(({ writesFrom }) => writesFrom));
    return stopsAt + keepMs + SKEW_MS > now;
  });
}

/** Returns when the next of them begins to write; `undefined` if all do. */
export function nextChange(keys: readonly KeyTimes[], now: number): number | undefined {
  const coming = keys.map(({ writesFrom }) => writesFrom).filter((from) => from > now);
  return coming.length === 0 ? undefined : Math.min(...coming);
}
