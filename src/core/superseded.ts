import type { Awaitable, StoredSession } from "../stores/store.ts";
import { heirsIn, tombstoneHandle } from "../stores/tombstones.ts";
import { after } from "./awaitable.ts";
import type { Clock } from "./clock.ts";
import type { StoreAccess } from "./store-access.ts";

/** After this a client that still sends the old token never got the new one, and may begin anew. */
const RECENT_MS = 60_000;

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
  tombstone(handle: string, successor: string, isSame: boolean): StoredSession {
    const now = this.#clock.now();
    return {
      handle: tombstoneHandle(handle),
      payload: isSame ? successor : "",
      version: 1,
      // No secret has this hash, and no other tombstone.
      secretHash: `replaced by ${successor}`,
      userId: null,
      createdAt: now,
      touchedAt: now,
      expiresAt: now + RECENT_MS,
    };
  }

  /** Until when a session that is gone counts as replaced a moment ago; 0 where it was not replaced. */
  until(handle: string): Awaitable<number> {
    return after(this.#access.load(tombstoneHandle(handle)), (tombstone) => tombstone?.expiresAt ?? 0);
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
        this.#end(tombstone === undefined ? others : [...heirsIn(tombstone), ...others], seen, ended),
      );
    });
  }
}
