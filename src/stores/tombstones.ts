import { NOTE, type SessionStore, type StoredSession } from "./store.ts";

/** What tombstones' handles begin with. Only they are written by more than one caller, see {@link leaveTombstone}. */
const TOMBSTONE = `${NOTE}replaced:`;

/** How often a tombstone is put beside another one: each failed try means that another caller succeeded. */
const TRIES = 50;

/** Under which handle a session's tombstone is. */
export function tombstoneHandle(handle: string): string {
  return TOMBSTONE + handle;
}

export function isTombstone(handle: string): boolean {
  return handle.startsWith(TOMBSTONE);
}

/** What a tombstone says: the hash of the secret that opened the session, and the handles that the session has now. */
export interface Tombstone {
  secretHash: string;
  heirs: readonly string[];
}

export function encodeTombstone({ secretHash, heirs }: Tombstone): string {
  return [secretHash, ...heirs].join(" ");
}

export function decodeTombstone({ payload }: { payload: string }): Tombstone {
  const [secretHash = "", ...heirs] = payload.split(" ");
  return { secretHash, heirs };
}

/**
 * Writes a tombstone before its session is replaced, for a store that can't do both in one step. A tombstone only matters once its session is
 * gone, so one that is early does no harm. If several callers try to replace one session, the tombstone names the new handles of all of them,
 * because one of them will succeed.
 */
export async function leaveTombstone(
  store: Pick<SessionStore, "create" | "load" | "update">,
  { handle, ...record }: StoredSession,
): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (await store.create(handle, record)) return;
    const there = await store.load(handle);
    if (there === undefined) continue;
    const [one, other] = [decodeTombstone(there), decodeTombstone(record)];
    const payload = encodeTombstone({ ...other, heirs: [...new Set([...one.heirs, ...other.heirs])] });
    const expiresAt = Math.max(there.expiresAt, record.expiresAt);
    const both = { ...record, payload, expiresAt, createdAt: there.createdAt, version: there.version + 1 };
    if ((await store.update(handle, both, there.version)) === "ok") return;
  }
  throw new Error("other callers kept replacing one session");
}
