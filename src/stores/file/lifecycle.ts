import type { ReplaceResult, SessionRecord } from "../../contract/store.ts";
import type { Clock } from "../../contract/time.ts";
import { inBatches } from "../concurrency.ts";
import type { Markers } from "./markers.ts";
import { type Group, groupsOf, isOf, nameOfHandle, newState, type State } from "./names.ts";
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
    await this.#markers.addNamed(name, state);
    return true;
  }

  /**
   * Creates a session's markers and folder. Returns `false` if another session is there. The caller
   * adds the markers of user and link again once the session has its state: a reader who found no
   * session may have removed them.
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

  /**
   * Ends a session, and begins another one in the same step. If that is done, `finish` removes what
   * is left of the old one; instead, `undo` takes the step back, as long as nothing has changed the
   * new one.
   */
  async replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
  ): Promise<{ result: Exclude<ReplaceResult, "unsupported">; finish?(): Promise<void>; undo?(): Promise<void> }> {
    const name = nameOfHandle(handle);
    const newName = nameOfHandle(newHandle);
    const next = newState(record);
    let isPrepared = false;
    let isDone = false;
    try {
      return await untilDone(async () => {
        const { state, payloads } = await this.#sessions.look(name);
        if (state === undefined || state.expiresAt <= this.#clock.now()) return { result: "gone" };
        if (state.version !== expectedVersion) return { result: "conflict" };
        isPrepared ||= await this.publish(newHandle, record, next, { withState: false });
        if (!isPrepared) return { result: "taken" };
        isDone = await this.#sessions.replace(name, state, newName, next);
        if (!isDone) return undefined;
        await this.#markers.addNamed(newName, next);
        return {
          result: "ok",
          finish: () => this.remove(name, state, payloads),
          undo: async () => {
            if (!(await this.#sessions.replace(newName, next, name, state))) return;
            await this.#markers.addNamed(name, state);
            await this.remove(newName, next, [next.payloadName]);
          },
        };
      });
    } finally {
      if (isPrepared && !isDone) await this.remove(newName, next, [next.payloadName]);
    }
  }

  /** Ends a session, if it belongs to this group. Returns whether an unexpired one was there. */
  delete(name: string, group?: Group): Promise<boolean> {
    return untilDone(async () => {
      const { state, payloads } = await this.#sessions.look(name);
      if (state === undefined || !isOf(state, group)) {
        if (group !== undefined) await this.#removeStray(name, group);
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

  /** Returns the version of an unexpired session, or `undefined` if there is none. */
  async versionOf(name: string): Promise<number | undefined> {
    const { state } = await this.#sessions.look(name);
    return state === undefined || state.expiresAt <= this.#clock.now() ? undefined : state.version;
  }

  /** Removes the rest of an ended session. The last marker lets a sweep find unfinished work. */
  async remove(name: string, state: State, payloads: readonly string[]): Promise<void> {
    for (const group of groupsOf(state)) await this.#markers.removeNamed(name, group);
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

  /** Removes markers of ended sessions. Only their payloads still tell the users and links. */
  async #removeStrays(left: { name: string } | { path: string }): Promise<void> {
    for (const { name, group } of await this.#sessions.owners(left)) await this.#removeStray(name, group);
  }

  async #removeStray(name: string, group: Group): Promise<void> {
    await this.#markers.removeNamed(name, group);
    await this.#restoreMarkers(name);
  }

  /** Restores the markers of a session that began while those of its predecessor were removed. */
  async #restoreMarkers(name: string): Promise<void> {
    const { state } = await this.#sessions.look(name);
    if (state !== undefined) await this.#markers.add(name, state);
  }
}
