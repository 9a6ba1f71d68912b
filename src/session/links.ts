import type { Awaitable } from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import { noteHandle, noteRecord, SKEW_MS, userNoteHandle, writeNote } from "./notes.ts";
import type { StoreAccess } from "./store-access.ts";

/** For how much longer than links live they are remembered. They live for minutes; a clock may be far behind. */
const REMEMBERED_MS = 60 * 60_000;

/** A sign-in link: times are epoch milliseconds, by the clock of the machine that made it. */
export interface Link {
  id: string;
  userId: string;
  madeAt: number;
  expiresAt: number;
}

/** Sees to it that a sign-in link works once, and not after all of its user's sessions were ended. */
export class Links {
  readonly #access: StoreAccess;
  readonly #clock: Clock;
  /** Users whose links this process has ended, and until when a link counts as one that was made before. */
  readonly #ended = new Map<string, number>();

  constructor(access: StoreAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
  }

  /** What a new link of a user says about when it was made. */
  madeAt(userId: string): number {
    return Math.max(this.#clock.now(), (this.#ended.get(userId) ?? 0) + 1);
  }

  /** Uses a link up. `false` if it was used before, or ended. */
  use({ id, userId, madeAt, expiresAt }: Link): Awaitable<boolean> {
    return after(this.#access.load(userNoteHandle("links", userId)), (ended) => {
      if (ended !== undefined && madeAt <= Number(ended.payload)) return false;
      const used = noteRecord("", this.#clock.now(), expiresAt + REMEMBERED_MS);
      return this.#access.note(noteHandle("used", id), used);
    });
  }

  /** Ends a user's links. Those that another process makes within the allowed difference of clocks can't be told from older ones. */
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
