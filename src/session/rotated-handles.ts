import {
  type Awaitable,
  decodeTombstone,
  encodeTombstone,
  type StoredSession,
  tombstoneHandle,
} from "../contract/store.ts";
import { after } from "../contract/time.ts";
import { sameHash } from "../crypto/token.ts";
import type { StoreAccess } from "./store-access.ts";

/**
 * Remembers, in every process, the sessions that a login or a regeneration replaced in the last
 * minute. Each has a tombstone in the store, which is read only if a session is gone. A late
 * request with the old token must not begin a session, because its cookie would replace the new
 * one. A late logout must end the session under its new handle.
 */

/** After this, a client with the old token never received the new one, and may begin again. */
const RECENT_MS = 60_000;

/** A token whose session was replaced. */
export interface RotatedToken {
  /** The handle of the old session; `undefined` if the token's secret is wrong. */
  readonly handle: string | undefined;
  /** Epoch milliseconds. Until then, requests from before the rotation may still arrive. */
  readonly until: number;
}

/**
 * Returns the tombstone of a session that `successor` is about to replace.
 *
 * @param isSame whether the successor is the same session under a new handle, so that ending the
 * old one must end it too
 */
export function tombstoneOf(
  old: { handle: string; secretHash: string },
  successor: string,
  isSame: boolean,
  now: number,
): StoredSession {
  return {
    handle: tombstoneHandle(old.handle),
    payload: encodeTombstone({ secretHash: old.secretHash, successors: isSame ? [successor] : [] }),
    version: 1,
    // No secret has this hash, and no other tombstone has it.
    secretHash: `replaced by ${successor}`,
    userId: null,
    createdAt: now,
    touchedAt: now,
    expiresAt: now + RECENT_MS,
  };
}

/** Returns whether a rotation replaced a token's session a moment ago. */
export function findRotated(
  access: StoreAccess,
  token: { handle: string; secretHash: string },
): Awaitable<RotatedToken | undefined> {
  return after(access.load(tombstoneHandle(token.handle)), (found) => {
    if (found === undefined) return undefined;
    // Handles are public. Only a token that could have ended the session may end its successor.
    const isProven = sameHash(decodeTombstone(found).secretHash, token.secretHash);
    return { handle: isProven ? token.handle : undefined, until: found.expiresAt };
  });
}

/** Deletes a session under its handle and all later handles. Returns whether there was one. */
export function endSession(access: StoreAccess, handle: string): Awaitable<boolean> {
  return endEach(access, [handle], new Set(), false);
}

/** Deletes the sessions that replaced one, which may still be there itself. */
export function endSuccessors(access: StoreAccess, handle: string): Awaitable<boolean> {
  return after(access.load(tombstoneHandle(handle)), (tombstone) =>
    endEach(access, [handle, ...successorsOf(tombstone)], new Set(), false),
  );
}

function successorsOf(tombstone: { payload: string } | undefined): readonly string[] {
  return tombstone === undefined ? [] : decodeTombstone(tombstone).successors;
}

function endEach(
  access: StoreAccess,
  [handle, ...others]: readonly string[],
  seen: Set<string>,
  hasEnded: boolean,
): Awaitable<boolean> {
  if (handle === undefined) return hasEnded;
  if (seen.has(handle)) return endEach(access, others, seen, hasEnded);
  seen.add(handle);
  return after(access.delete(handle), (wasThere) => {
    if (wasThere) return endEach(access, others, seen, true);
    return after(access.load(tombstoneHandle(handle)), (tombstone) =>
      endEach(access, [...successorsOf(tombstone), ...others], seen, hasEnded),
    );
  });
}
