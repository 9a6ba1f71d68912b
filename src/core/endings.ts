import type { Awaitable, SessionRecord } from "../stores/store.ts";
import { derivedHandle } from "../tokens/token.ts";
import { after } from "./awaitable.ts";
import type { Clock } from "./clock.ts";
import { SojournError } from "./errors.ts";
import { decodePayload } from "./record.ts";
import type { StoreAccess } from "./store-access.ts";
import { expiryOf, type Timeouts } from "./timeouts.ts";

/** Browsers keep no cookie longer than 400 days (RFC 6265bis 5.5): so long the sessions of a user may live that nobody has a list of. */
const LONGEST_MS = 400 * 24 * 60 * 60 * 1_000;
const TRIES = 20;
/** Until when all sessions of a user have ended, and the one that has not. */
interface UserEnding {
  before: number;
  except: string;
}

/** No secret has this hash: nothing in the list opens as a session, even in a store that holds sessions too. */
const NO_SECRET = "ended";

/**
 * The sessions that were ended before their seals died, kept in a store: one small record for each, until no copy of its seal could open
 * any more; and for a user, the instant before which all sessions of theirs have ended, with the one that was excepted.
 */
export class Endings {
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
    return after(this.#access.load(handle), (ended) => {
      if (ended !== undefined || userId === null) return ended !== undefined;
      return after(this.#access.load(userHandle(userId)), (all) => {
        if (all === undefined) return false;
        const { before, except } = userEnding(all);
        return createdAt <= before && except !== handle;
      });
    });
  }

  /** Ends a session. @param last what is known of it; without, it is kept as long as any seal may live. */
  end(handle: string, last?: SessionRecord): Awaitable<boolean> {
    const now = this.#clock.now();
    const record = ending("", now, last === undefined ? now + LONGEST_MS : lastCopyEnds(last, now, this.#limits));
    // Taken: it was ended before.
    return this.#access.commit("create", () => this.#access.store.create(handle, record));
  }

  /** Ends all sessions of a user that began until now, except one. */
  endUser(userId: string, except: string | undefined): Promise<void> {
    return this.#noteUser(userId, () => ({ before: this.#clock.now(), except: except ?? "" }));
  }

  /** A session that was excepted gets another handle, and keeps its age. */
  rename(
    userId: string,
    previous: string,
    { handle, createdAt }: { handle: string; createdAt: number },
  ): Awaitable<void> {
    return after(this.#access.load(userHandle(userId)), (there) => {
      if (there === undefined) return undefined;
      const { before, except } = userEnding(there);
      if (except !== previous || createdAt > before) return undefined;
      return this.#noteUser(userId, (newest) => (newest.except === previous ? { ...newest, except: handle } : newest));
    });
  }

  async #noteUser(userId: string, next: (newest: UserEnding) => UserEnding): Promise<void> {
    const handle = userHandle(userId);
    for (let tries = 1; tries <= TRIES; tries += 1) {
      const there = await this.#access.load(handle);
      const now = this.#clock.now();
      const newest = there === undefined ? { before: 0, except: "" } : userEnding(there);
      const { before, except } = next(newest);
      const record = ending(JSON.stringify([Math.max(before, newest.before), except]), now, now + LONGEST_MS);
      if (there === undefined) {
        if (await this.#access.commit("create", () => this.#access.store.create(handle, record))) return;
      } else {
        const updated = { ...record, createdAt: there.createdAt, version: there.version + 1 };
        if ((await this.#access.update(handle, updated, there.version)) === "ok") return;
      }
    }
    throw new SojournError("CONFLICT", "other requests kept ending this user's sessions");
  }
}

/** When the last copy of a session's seal has died, if none is used after `now`. */
export function lastCopyEnds(last: SessionRecord, now: number, limits: Timeouts): number {
  const facts = decodePayload(last.payload)?.facts;
  // A longer life was taken back: an older copy may still have it.
  if (facts === undefined || facts.from !== undefined) return now + LONGEST_MS;
  // A copy may have been used until now, whatever the seal at hand says.
  const { createdAt } = last;
  return Math.max(last.expiresAt, expiryOf({ createdAt }, now, limits), expiryOf({ ...facts, createdAt }, now, limits));
}

function ending(payload: string, now: number, expiresAt: number): SessionRecord {
  return { payload, version: 1, secretHash: NO_SECRET, userId: null, createdAt: now, touchedAt: now, expiresAt };
}

/** What is written is ours, but a store may have lost it: what can't be read ends everything until its own instant. */
function userEnding({ payload, touchedAt }: SessionRecord): UserEnding {
  try {
    const [before, except]: unknown[] = JSON.parse(payload);
    if (typeof before === "number" && typeof except === "string") return { before, except };
  } catch {
    // Below.
  }
  return { before: touchedAt, except: "" };
}

/** The list doesn't name its users. */
function userHandle(userId: string): string {
  return derivedHandle(`ended user ${userId}`);
}
