import type { Awaitable } from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import { noteHandle, noteRecord, SKEW_MS, userNoteHandle, writeNote } from "./notes.ts";
import type { StoreAccess } from "./store-access.ts";

/** How long a used link is remembered after it expires, because a clock may be far behind. */
const REMEMBERED_MS = 60 * 60_000;

/** A sign-in link. Times are epoch milliseconds, by the clock of the machine that made it. */
export interface Link {
  id: string;
  userId: string;
  madeAt: number;
  expiresAt: number;
}

/** Ensures that a sign-in link works once, and not after all of its user's sessions have ended. */
export class Links {
  readonly #access: StoreAccess;
  readonly #clock: Clock;
  /** Users whose links this process ended, and the time until which a link counts as older. */
  readonly #ended = new Map<string, number>();

  constructor(access: StoreAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
  }

  /** Returns the time that a user's new link must record as its creation. */
  madeAt(userId: string): number {
    return Math.max(this.#clock.now(), (this.#ended.get(userId) ?? 0) + 1);
  }

  /** Uses a link up. Returns `false` if it was used before, or has ended. */
  use({ id, userId, madeAt, expiresAt }: Link): Awaitable<boolean> {
    return after(this.#access.load(userNoteHandle("links", userId)), (ended) => {
      if (ended !== undefined && madeAt <= Number(ended.payload)) return false;
      const used = noteRecord("", this.#clock.now(), expiresAt + REMEMBERED_MS);
      return this.#access.note(noteHandle("used", id), used);
    });
  }

  /**
   * Ends a user's links. That includes links that another process makes within the clocks'
   * difference, because they look older.
   */
  async endAll(userId: string): Promise<void> {
    const now = this.#clock.now();
    let before = now + SKEW_MS;
    await writeNote(this.#access, this.#clock, userNoteHandle("links", userId), (there) => {
      before = Math.max(before, Number(there?.payload ?? 0) + 1);
      return { payload: String(before), expiresAt: before + REMEMBERED_MS };
    });
    for (const [user, until] of this.#ended) if (until < now) this.#ended.delete(user);
    this.#ended.set(userId, before);
  }
}
