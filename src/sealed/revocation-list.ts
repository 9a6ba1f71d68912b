import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import { decodePayload } from "../session/content.ts";
import { noteHandle, noteRecord, SKEW_MS, userNoteHandle, writeNote } from "../session/notes.ts";
import type { StoreAccess } from "../session/store-access.ts";
import { expiryOf, LONGEST_COOKIE_MS, type Timeouts } from "../session/timeouts.ts";

/** Sessions of a user that began until `before` have ended, except one. */
interface UserEnding {
  before: number;
  except: string;
}

/**
 * Remembers, in a store, the sessions that ended before their seals expired. Each ended session has
 * one small note, until no copy of its seal can open any more. Each user has the time until which
 * all their sessions have ended, with at most one exception.
 *
 * That time lies ahead by as much as clocks may differ, so that it covers sessions of machines
 * whose clocks are ahead. A login reads it, and begins its session later.
 */
export class RevocationList {
  readonly #access: StoreAccess;
  readonly #clock: Clock;
  readonly #limits: Timeouts;

  constructor(access: StoreAccess, clock: Clock, limits: Timeouts) {
    this.#access = access;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Returns whether a session has ended, on its own or with all of its user's. */
  includes(handle: string, { userId, createdAt }: SessionRecord): Awaitable<boolean> {
    return after(this.#access.load(noteHandle("ended", handle)), (ended) => {
      if (ended !== undefined || userId === null) return ended !== undefined;
      return after(
        this.#ofUser(userId),
        (all) => all !== undefined && createdAt <= all.before && all.except !== handle,
      );
    });
  }

  /**
   * Ends a session. Returns `false` if it had ended before.
   * @param last its last known record; without it, the note lives as long as any seal could
   */
  end(handle: string, last?: SessionRecord): Awaitable<boolean> {
    const now = this.#clock.now();
    const until = last === undefined ? now + LONGEST_COOKIE_MS : lastCopyEnds(last, now, this.#limits);
    return this.#access.note(noteHandle("ended", handle), noteRecord("", now, until));
  }

  /** Ends all sessions of a user that have begun, except one. */
  endUser(userId: string, except: string | undefined): Promise<void> {
    return this.#noteUser(userId, (newest) => ({
      before: Math.max(this.#clock.now() + SKEW_MS, newest.before + 1),
      except: except ?? "",
    }));
  }

  /** Returns when a user's new session begins: after the last `endUser`. */
  beginning({ userId, createdAt }: SessionRecord): Awaitable<number> {
    if (userId === null) return createdAt;
    return after(this.#ofUser(userId), (all) => Math.max(createdAt, (all?.before ?? 0) + 1));
  }

  /** Moves the exception of `endUser` to a session's new handle. The session keeps its age. */
  rename(
    userId: string,
    previous: string,
    { handle, createdAt }: { handle: string; createdAt: number },
  ): Awaitable<void> {
    return after(this.#ofUser(userId), (there) => {
      if (there === undefined || there.except !== previous || createdAt > there.before) return undefined;
      return this.#noteUser(userId, (newest) => (newest.except === previous ? { ...newest, except: handle } : newest));
    });
  }

  #ofUser(userId: string): Awaitable<UserEnding | undefined> {
    return after(this.#access.load(userNoteHandle("ended", userId)), (note) =>
      note === undefined ? undefined : userEnding(note),
    );
  }

  #noteUser(userId: string, next: (newest: UserEnding) => UserEnding): Promise<void> {
    return writeNote(this.#access, this.#clock, userNoteHandle("ended", userId), (there) => {
      const { before, except } = next(there === undefined ? { before: 0, except: "" } : userEnding(there));
      return { payload: JSON.stringify([before, except]), expiresAt: this.#clock.now() + LONGEST_COOKIE_MS };
    });
  }
}

/** Returns when the last copy of a session's seal expires, if none is used after `now`. */
function lastCopyEnds(last: SessionRecord, now: number, limits: Timeouts): number {
  const meta = decodePayload(last.payload)?.meta;
  // `persist(false)` shortened the session's life. An older copy may still have the longer one.
  if (meta === undefined || meta.absoluteFrom !== undefined) return now + LONGEST_COOKIE_MS;
  // Another copy may have been used until now.
  const { createdAt } = last;
  return Math.max(last.expiresAt, expiryOf({ createdAt }, now, limits), expiryOf({ ...meta, createdAt }, now, limits));
}

/** Decodes a user's note. A damaged one ends all sessions that began before it was written. */
function userEnding({ payload, touchedAt }: SessionRecord): UserEnding {
  try {
    const [before, except]: unknown[] = JSON.parse(payload);
    if (typeof before === "number" && typeof except === "string") return { before, except };
  } catch {
    // Falls through.
  }
  return { before: touchedAt + SKEW_MS, except: "" };
}

export function noRevocations(method: string): SojournError {
  return new SojournError(
    "NO_USER_INDEX",
    `${method} needs a revocation list, because sealed sessions live in their cookies: new SealedStore({ secret, revocations: store })`,
  );
}
