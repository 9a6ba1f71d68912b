import { after } from "../contract/awaitable.ts";
import type { Awaitable, SessionRecord, StoredSession } from "../contract/store.ts";
import { hashSecret } from "../crypto/token.ts";
import { type Changes, type Content, EMPTY, merge, NOTHING, overwritten } from "./changes.ts";
import { type CommitListener, type Committer, goneError } from "./committer.ts";
import type { SessionState } from "./state.ts";
import type { TimeLimit } from "./time-limit.ts";

/**
 * Puts `fresh`, a blank session, in the place of `old`, which dies at once, by compare-and-set: what others committed to it until that
 * instant is carried over too, and nothing after it.
 */
export class Replacement {
  readonly #committer: Committer;
  readonly #listener: CommitListener;
  readonly #old: SessionState;
  readonly #fresh: SessionState;
  readonly #carried: (content: Content) => Content;
  /** What the application had changed when this began. */
  readonly changes: Changes;
  /** A login begins anew where the old session was ended meanwhile; anything else would bring it back. */
  readonly #mayBeginAnew: boolean;
  readonly #tombstone: (old: { handle: string; secretHash: string }, successor: string) => StoredSession;
  readonly #began: number;
  /** For all tries together, from the first conflict on. */
  #limit: TimeLimit | undefined = undefined;

  constructor(
    committer: Committer,
    listener: CommitListener,
    {
      old,
      fresh,
      carried,
      mayBeginAnew,
      tombstone,
      began,
    }: {
      old: SessionState;
      fresh: SessionState;
      carried: (content: Content) => Content;
      mayBeginAnew: boolean;
      /** What stays in the store of the old session. */
      tombstone: (old: { handle: string; secretHash: string }, successor: string) => StoredSession;
      /** Now, in epoch milliseconds. */
      began: number;
    },
  ) {
    this.#committer = committer;
    this.#listener = listener;
    this.#old = old;
    this.#fresh = fresh;
    this.#carried = carried;
    this.#mayBeginAnew = mayBeginAnew;
    this.#tombstone = tombstone;
    this.#began = began;
    this.changes = old.collect() ?? NOTHING;
  }

  /** What the new session begins with: nothing of a session that was ended. */
  get content(): Content {
    return this.#from(this.#old.standing === "ended" ? EMPTY : this.#old.content);
  }

  /** If it fails, the old session lives on as it was. */
  run(): Awaitable<void> {
    if (this.#old.standing === "stored") return this.#replace(this.#old.record, this.#old.content, 1);
    if (this.#old.standing === "ended" && !this.#mayBeginAnew) throw goneError();
    return this.#begin(this.content);
  }

  #from(content: Content): Content {
    return this.#carried(merge(content, this.changes));
  }

  #replace(base: SessionRecord, stored: Content, tries: number): Awaitable<void> {
    const content = this.#from(stored);
    const { access } = this.#committer;
    const { handle } = this.#old;
    const { version } = base;
    const tombstone = this.#tombstone({ handle, secretHash: hashSecret(this.#old.secret) }, this.#fresh.handle);
    const replaced = this.#isEmpty(content)
      ? access.end(handle, version, tombstone)
      : this.#committer.replace({ handle, version, tombstone }, this.#fresh, content, this.#listener);
    return after(replaced, (result) => {
      if (result === "ok") return this.#tellOverwritten(stored, content);
      if (result === "gone") return this.#oldIsGone();
      if (result === "taken") {
        this.#committer.rename(this.#fresh, tries);
        return this.#replace(base, stored, tries + 1);
      }
      this.#limit ??= access.limit(this.#began);
      const limit = this.#limit;
      return this.#committer.again(this.#old, tries, limit, () =>
        after(this.#committer.reread(this.#old, limit.leftMs), (newest) =>
          newest === undefined ? this.#oldIsGone() : this.#replace(newest.record, newest.content, tries + 1),
        ),
      );
    });
  }

  #tellOverwritten(stored: Content, content: Content): void {
    const names = overwritten(this.changes, this.#old.content, stored);
    this.#committer.tellOverwritten(this.#fresh, new Set([...names].filter((name) => content.texts.has(name))));
  }

  #oldIsGone(): Awaitable<void> {
    if (this.#mayBeginAnew) return this.#begin(this.#from(EMPTY));
    this.#committer.gone(this.#old, this.#listener);
    throw goneError();
  }

  /** Where there is nothing to replace. */
  #begin(content: Content): Awaitable<void> {
    if (this.#isEmpty(content)) return undefined;
    return this.#committer.create(this.#fresh, content, this.#listener, undefined);
  }

  /** Whether there is nothing to store of the new session. */
  #isEmpty({ facts, texts }: Content): boolean {
    const { userId } = this.#fresh.record;
    return userId === null && texts.size === 0 && Object.keys(facts).every((name) => name === "via");
  }
}
