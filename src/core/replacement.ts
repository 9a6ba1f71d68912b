import type { Awaitable, SessionRecord } from "../stores/store.ts";
import { after, isPromise } from "./awaitable.ts";
import { type Content, merge } from "./changes.ts";
import { type CommitListener, type Committer, conflictError, EMPTY, goneError, NOTHING } from "./committer.ts";
import { decodePayload } from "./record.ts";
import type { SessionState } from "./state.ts";

/** How often a replacement takes over what others commit to the old session before it gives up with CONFLICT. */
const TRIES = 50;

/**
 * Puts `fresh`, a blank session, in the place of `old`, which dies at once.
 *
 * The new one is written first, and its token known to nobody until the old one is dead: a crash in between leaves exactly one
 * that opens. The old one is ended by compare-and-set (an update to a record that has expired), so that what others committed
 * to it until that instant is carried over too, and nothing after it.
 */
export class Replacement {
  readonly #committer: Committer;
  readonly #listener: CommitListener;
  readonly #old: SessionState;
  readonly #fresh: SessionState;
  readonly #carried: (content: Content) => Content;
  readonly #changes;
  /** A login begins anew where the old session was ended meanwhile; anything else would bring it back. */
  readonly #mayBeginAnew: boolean;
  readonly #beforeEnd: () => void;

  constructor(
    committer: Committer,
    listener: CommitListener,
    {
      old,
      fresh,
      carried,
      mayBeginAnew,
      beforeEnd,
    }: {
      old: SessionState;
      fresh: SessionState;
      carried: (content: Content) => Content;
      mayBeginAnew: boolean;
      /** The new session is written, and the old one is going to be ended. */
      beforeEnd: () => void;
    },
  ) {
    this.#committer = committer;
    this.#listener = listener;
    this.#old = old;
    this.#fresh = fresh;
    this.#carried = carried;
    this.#mayBeginAnew = mayBeginAnew;
    this.#beforeEnd = beforeEnd;
    this.#changes = old.collect() ?? NOTHING;
  }

  /** What the new session begins with: nothing of a session that was ended. */
  get content(): Content {
    const from = this.#old.standing === "ended" ? EMPTY : this.#old.content;
    return this.#carried(merge(from, this.#changes));
  }

  /** Both steps. If one fails, the old session lives on as it was and the new one is dropped. */
  run(): Awaitable<void> {
    const abort = (error: unknown): never => {
      if (this.#fresh.standing === "stored") this.#committer.access.abandon(this.#fresh.handle);
      throw error;
    };
    if (this.#old.standing === "ended" && !this.#mayBeginAnew) throw goneError();
    try {
      const done = after(this.#write(this.content), () => {
        this.#beforeEnd();
        return this.#endOld(this.#old.record, 1);
      });
      return isPromise(done) ? done.catch(abort) : done;
    } catch (error) {
      return abort(error);
    }
  }

  #endOld(base: SessionRecord, tries: number): Awaitable<void> {
    if (this.#old.standing !== "stored") return undefined;
    const { access } = this.#committer;
    const { handle } = this.#old;
    const tombstone = { ...base, payload: "", version: base.version + 1, expiresAt: 0 };
    return after(access.update(handle, tombstone, base.version), (result) => {
      if (result === "ok") return undefined;
      if (result === "gone") return this.#oldIsGone();
      if (tries >= TRIES) throw conflictError();
      return this.#committer.again(this.#old, tries, () =>
        after(access.load(handle), (newest) => {
          const stored = newest === undefined ? undefined : decodePayload(newest.payload);
          if (newest === undefined || stored === undefined) return this.#oldIsGone();
          return after(this.#write(this.#carried(merge(stored, this.#changes))), () => this.#endOld(newest, tries + 1));
        }),
      );
    });
  }

  #oldIsGone(): Awaitable<void> {
    if (this.#mayBeginAnew) return this.#write(this.#carried(merge(EMPTY, this.#changes)));
    this.#committer.gone(this.#old, this.#listener);
    throw goneError();
  }

  /** Creates the new session, or rewrites it: nobody else knows it, so only its own end can come in between. */
  #write(content: Content): Awaitable<void> {
    const fresh = this.#fresh;
    if (fresh.standing !== "stored") {
      const isEmpty = content.texts.size === 0 && Object.keys(content.facts).every((name) => name === "via");
      if (isEmpty && fresh.record.userId === null) return undefined;
      return this.#committer.create(fresh, content, this.#listener, undefined);
    }
    const { record, handle } = fresh;
    const rewritten = this.#committer.recordOf(record, content, record.secretHash, record.version + 1);
    return after(this.#committer.access.update(handle, rewritten, record.version), (result) => {
      if (result === "ok") {
        fresh.settle(rewritten, content);
        return undefined;
      }
      // All of the user's sessions were ended while this one began. It is written again under a handle that nobody saw; whether the old
      // one was ended, too, turns out in the next step.
      this.#committer.rename(fresh);
      return this.#committer.create(fresh, content, this.#listener, undefined);
    });
  }
}
