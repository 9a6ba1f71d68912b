import type { SessionRecord } from "../../contract/store.ts";
import type { Clock } from "../../contract/time.ts";
import { inBatches } from "../concurrency.ts";
import type { Markers } from "./markers.ts";
import { nameOfHandle, nameOfUser, newState, type State } from "./names.ts";
import { type Sessions, untilDone } from "./sessions.ts";

/** How many sessions a call on many sessions works on at once. */
export const CHUNK = 8;
/** A sweep looks at this many times its limit: touches may have postponed all of them. */
const LOOKS_PER_REMOVAL = 10;

/** Begins and ends sessions together with their markers, and removes what killed processes left. */
export class Lifecycle {
  readonly #sessions: Sessions;
  readonly #markers: Markers;
  readonly #clock: Clock;

  constructor(sessions: Sessions, markers: Markers, clock: Clock) {
    this.#sessions = sessions;
    this.#markers = markers;
    this.#clock = clock;
  }

  async create(handle: string, record: SessionRecord): Promise<boolean> {
    const name = nameOfHandle(handle);
    if (!(await this.#makeWay(name))) return false;
    // A record with a past expiry could never be loaded.
    if (record.expiresAt <= this.#clock.now()) return true;
    const state = newState(record);
    if (!(await this.publish(handle, record, state, { withState: true }))) return false;
    await this.#markers.addUser(name, state.userName);
    return true;
  }

  /**
   * Creates a session's markers and folder. Returns `false` if another session is there. The caller
   * adds the user's marker again once the session has its state: a reader who found no session may
   * have removed it.
   *
   * @param options `withState: false` leaves the state to `replace`
   */
  async publish(
    handle: string,
    record: SessionRecord,
    state: State,
    { withState }: { withState: boolean },
  ): Promise<boolean> {
    const name = nameOfHandle(handle);
    const prepared = await this.#sessions.prepare(handle, record, state, withState);
    let isPublished = false;
    try {
      await this.#markers.add(name, state);
      isPublished = await untilDone(async () => {
        if (await this.#sessions.publish(prepared, name)) return true;
        return withState && (await this.#makeWay(name)) ? undefined : false;
      });
    } finally {
      if (!isPublished) await this.#sessions.discard(prepared);
    }
    return isPublished;
  }

  /** Ends a session, if it is this user's. Returns whether an unexpired one was there. */
  delete(name: string, userId?: string): Promise<boolean> {
    return untilDone(async () => {
      const { state, payloads } = await this.#sessions.look(name);
      if (state === undefined || !isOf(state, userId)) {
        if (userId !== undefined) await this.#removeStray(name, nameOfUser(userId));
        return false;
      }
      return (await this.end(name, state, payloads)) ? state.expiresAt > this.#clock.now() : undefined;
    });
  }

  /** Ends a session, if it still has this state. */
  async end(name: string, state: State, payloads: readonly string[]): Promise<boolean> {
    if (!(await this.#sessions.end(name, state))) return false;
    await this.remove(name, state, payloads);
    return true;
  }

  /** Removes the rest of an ended session. The last marker lets a sweep find unfinished work. */
  async remove(name: string, state: State, payloads: readonly string[]): Promise<void> {
    await this.#markers.removeUser(name, state.userName);
    await this.#sessions.tidy(name, payloads);
    await this.#markers.removeDue(name, state);
    await this.#restoreMarkers(name);
  }

  /** Removes at most `limit` expired sessions, and returns how many it removed. */
  async prune(limit: number): Promise<number> {
    await this.#sessions.assertPresent();
    const now = this.#clock.now();
    let pruned = 0;
    let looks = limit * LOOKS_PER_REMOVAL;
    for (const path of await this.#sessions.abandoned(limit)) {
      await this.#removeStrays({ path });
      await this.#sessions.discard(path);
    }
    for (const bucket of await this.#markers.bucketsBefore(now)) {
      const names = await this.#markers.inBucket(bucket);
      while (names.length > 0 && pruned < limit && looks > 0) {
        const chunk = names.splice(0, Math.min(CHUNK, limit - pruned));
        looks -= chunk.length;
        pruned += (await inBatches(chunk, CHUNK, (name) => this.#pruneOne(bucket, name))).filter(Boolean).length;
      }
      if (names.length > 0 || pruned >= limit) return pruned;
      await this.#markers.removeBucket(bucket);
    }
    return pruned;
  }

  /** Frees a name. Returns `false` if a session is there, or is just beginning. */
  async #makeWay(name: string): Promise<boolean> {
    const { state, payloads } = await this.#sessions.look(name);
    if (state === undefined) {
      await this.#removeLeftovers(name, payloads);
      return true;
    }
    if (state.expiresAt > this.#clock.now() && (await this.#sessions.load(name)) !== undefined) return false;
    // If another writer has replaced it meanwhile, publishing fails, and the caller tries again.
    await this.end(name, state, payloads);
    return true;
  }

  async #pruneOne(bucket: number, name: string): Promise<boolean> {
    const { state, payloads } = await this.#sessions.look(name);
    if (state !== undefined && state.expiresAt > this.#clock.now()) {
      await this.#markers.postpone(name, bucket, state.expiresAt);
      return false;
    }
    if (state === undefined) await this.#removeLeftovers(name, payloads);
    else if (!(await this.end(name, state, payloads))) return false;
    await this.#markers.removeFrom(bucket, name);
    return state !== undefined;
  }

  /** Removes what a process left that was killed while it ended a session. */
  async #removeLeftovers(name: string, payloads: readonly string[]): Promise<void> {
    await this.#removeStrays({ name });
    await this.#sessions.tidy(name, payloads);
  }

  /** Removes user markers of ended sessions. Only their payloads still tell who the users were. */
  async #removeStrays(left: { name: string } | { path: string }): Promise<void> {
    for (const { name, userName } of await this.#sessions.owners(left)) await this.#removeStray(name, userName);
  }

  async #removeStray(name: string, userName: string): Promise<void> {
    await this.#markers.removeUser(name, userName);
    await this.#restoreMarkers(name);
  }

  /** Restores the markers of a session that began while those of its predecessor were removed. */
  async #restoreMarkers(name: string): Promise<void> {
    const { state } = await this.#sessions.look(name);
    if (state !== undefined) await this.#markers.add(name, state);
  }
}

/** Returns whether a session belongs to a user; any does if none is given. */
export function isOf(state: State, userId: string | undefined): boolean {
  return userId === undefined || state.userName === nameOfUser(userId);
}
