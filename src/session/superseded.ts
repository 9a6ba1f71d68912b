import { after } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import {
  type Awaitable,
  decodeTombstone,
  encodeTombstone,
  type StoredSession,
  tombstoneHandle,
} from "../contract/store.ts";
import { sameHash } from "../crypto/token.ts";
import type { StoreAccess } from "./store-access.ts";

/** After this a client that still sends the old token never got the new one, and may begin anew. */
const RECENT_MS = 60_000;

/** A session that is gone because another one took its place. */
export interface Replaced {
  /** Its handle, for whoever has its token; `undefined` where the token's secret was another one. */
  readonly handle: string | undefined;
  /** Epoch milliseconds: until then requests that were sent before may still be on their way. */
  readonly until: number;
}

/**
 * Sessions that were replaced in the last minute, by any process: each has a tombstone in the store. It is only looked for where a session is
 * found gone. A late request with the old token must begin no session, because its cookie would take the place of the new one, and a
 * late logout must end the session under its new handle.
 */
export class Superseded {
  readonly #access: StoreAccess;
  readonly #clock: Clock;

  constructor(access: StoreAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
  }

  /**
   * The tombstone of a session that `successor` is about to replace.
   *
   * @param isSame whether the successor is the same session under a new name, so that whoever ends the old one ends it
   */
  tombstone(old: { handle: string; secretHash: string }, successor: string, isSame: boolean): StoredSession {
    const now = this.#clock.now();
    return {
      handle: tombstoneHandle(old.handle),
      payload: encodeTombstone({ secretHash: old.secretHash, heirs: isSame ? [successor] : [] }),
      version: 1,
      // No secret has this hash, and no other tombstone.
      secretHash: `replaced by ${successor}`,
      userId: null,
      createdAt: now,
      touchedAt: now,
      expiresAt: now + RECENT_MS,
    };
  }

  /** Whether a token's session is gone because another one took its place a moment ago. */
  find(token: { handle: string; secretHash: string }): Awaitable<Replaced | undefined> {
    return after(this.#access.load(tombstoneHandle(token.handle)), (found) => {
      if (found === undefined) return undefined;
      // Handles are public. Only whoever could have ended the session may end what became of it.
      const isProven = sameHash(decodeTombstone(found).secretHash, token.secretHash);
      return { handle: isProven ? token.handle : undefined, until: found.expiresAt };
    });
  }

  /** Deletes a session under its handle, or under those that it was given since. Whether there was one. */
  end(handle: string): Awaitable<boolean> {
    return this.#end([handle], new Set(), false);
  }

  #end([handle, ...others]: readonly string[], seen: Set<string>, ended: boolean): Awaitable<boolean> {
    if (handle === undefined) return ended;
    if (seen.has(handle)) return this.#end(others, seen, ended);
    seen.add(handle);
    return after(this.#access.delete(handle), (wasThere) => {
      if (wasThere) return this.#end(others, seen, true);
      return after(this.#access.load(tombstoneHandle(handle)), (tombstone) =>
        this.#end(tombstone === undefined ? others : [...decodeTombstone(tombstone).heirs, ...others], seen, ended),
      );
    });
  }
}
