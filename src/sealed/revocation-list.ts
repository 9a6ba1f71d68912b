import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import { decodePayload } from "../session/content.ts";
import { noteHandle, noteRecord, SKEW_MS, userNoteHandle, writeNote } from "../session/notes.ts";
import type { StoreAccess } from "../session/store-access.ts";
import { expiryOf, type Timeouts } from "../session/timeouts.ts";

/** Browsers keep no cookie longer than 400 days (RFC 6265bis 5.5): so long the sessions of a user may live that nobody has a list of. */
const LONGEST_MS = 400 * 24 * 60 * 60 * 1_000;

/** Sessions of a user that began until `before` have ended, with one exception. */
interface UserEnding {
  before: number;
  except: string;
}

/**
 * The sessions that were ended before their seals died, kept in a store: one small note for each, until no copy of its seal could open
 * any more; and for a user, the instant before which all sessions of theirs have ended, with the one that was excepted.
 *
 * That instant lies ahead by as much as clocks may differ, so that it covers a session that began on a machine whose clock is ahead. A login looks
 * at it, and begins its session after it.
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

  /** Whether a session was ended, by itself or with all of its user's. */
  includes(handle: string, { userId, createdAt }: SessionRecord): Awaitable<boolean> {
    return after(this.#access.load(noteHandle("ended", handle)), (ended) => {
      if (ended !== undefined || userId === null) return ended !== undefined;
      return after(
        this.#ofUser(userId),
        (all) => all !== undefined && createdAt <= all.before && all.except !== handle,
      );
    });
  }

  /** Ends a session. @param last what is known of it; without, it is kept as long as any seal may live. */
  end(handle: string, last?: SessionRecord): Awaitable<boolean> {
    const now = this.#clock.now();
    const until = last === undefined ? now + LONGEST_MS : lastCopyEnds(last, now, this.#limits);
    // Taken: it was ended before.
    return this.#access.note(noteHandle("ended", handle), noteRecord("", now, until));
  }

  /** Ends all sessions of a user that began until now, except one. */
  endUser(userId: string, except: string | undefined): Promise<void> {
    return this.#noteUser(userId, (newest) => ({
      before: Math.max(this.#clock.now() + SKEW_MS, newest.before + 1),
      except: except ?? "",
    }));
  }

  /** When a user's new session begins: after the last time that all of them were ended. */
  beginning({ userId, createdAt }: SessionRecord): Awaitable<number> {
    if (userId === null) return createdAt;
    return after(this.#ofUser(userId), (all) => Math.max(createdAt, (all?.before ?? 0) + 1));
  }

  /** A session that was excepted gets another handle, and keeps its age. */
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
      return { payload: JSON.stringify([before, except]), expiresAt: this.#clock.now() + LONGEST_MS };
    });
  }
}

/** When the last copy of a session's seal has died, if none is used after `now`. */
function lastCopyEnds(last: SessionRecord, now: number, limits: Timeouts): number {
  const meta = decodePayload(last.payload)?.meta;
  // A longer life was taken back: an older copy may still have it.
  if (meta === undefined || meta.absoluteFrom !== undefined) return now + LONGEST_MS;
  // A copy may have been used until now, whatever the seal at hand says.
  const { createdAt } = last;
  return Math.max(last.expiresAt, expiryOf({ createdAt }, now, limits), expiryOf({ ...meta, createdAt }, now, limits));
}

/** What is written is ours, but a store may have lost it: what can't be read ends everything until its own instant. */
function userEnding({ payload, touchedAt }: SessionRecord): UserEnding {
  try {
    const [before, except]: unknown[] = JSON.parse(payload);
    if (typeof before === "number" && typeof except === "string") return { before, except };
  } catch {
    // Below.
  }
  return { before: touchedAt + SKEW_MS, except: "" };
}

export function noRevocations(method: string): SojournError {
  return new SojournError(
    "NO_USER_INDEX",
    `${method} needs a revocation list, because sealed sessions live in their cookies: new SealedStore({ secret, revocations: store })`,
  );
}
