import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after, type Clock, recover } from "../contract/time.ts";
import type { OwnerHashes } from "../crypto/owner.ts";
import { hashSecret } from "../crypto/token.ts";
import { type Changes, type Content, EMPTY, encodePayload, merge, NO_CHANGES, overwritten } from "./content.ts";
import type { DataFormat } from "./data-format.ts";
import type { Events } from "./events.ts";
import { isBare } from "./meta.ts";
import type { Commit, Delivery } from "./outcome.ts";
import { CONFLICT, DONE, DONE_CLEAR, DONE_SET, GONE, REFUSED, REFUSED_CLEAR } from "./outcome.ts";
import type { Retries, TimeLimit } from "./retry.ts";
import { type CarriedLimits, requireFits } from "./size-limit.ts";
import type { SessionState } from "./state.ts";
import type { StoreAccess, Stored } from "./store-access.ts";
import { reportRotation, storeNew, type Written } from "./store-new.ts";
import { expiryOf, type Timeouts, touchIsDue } from "./timeouts.ts";

/** What is known of a session when its request commits. */
export interface CommitFacts {
  status: "blank" | "stored" | "ending";
  /** Whether there is anything to store. */
  changed: boolean;
  /** Whether the application called `save()`, which stores even an empty session. */
  forced?: boolean;
  touchDue: boolean;
  /** Whether a token can still reach the client. */
  deliverable: boolean;
  /** Whether the token itself carries the record: what can't be sent is not stored. */
  carried?: boolean;
  /** Whether a stored session is to be replaced. */
  replaces?: boolean;
}

export type CommitAction = "nothing" | "touch" | "store" | "refuse";

/** Decides what a commit does. A new session is stored only if its token can still be sent. */
export function decideCommit(facts: CommitFacts): CommitAction {
  const { status, changed, forced = false, touchDue, deliverable, carried = false, replaces = false } = facts;
  switch (status) {
    case "ending":
      return "nothing";
    case "blank":
      if (!changed && !forced && !replaces) return "nothing";
      return deliverable ? "store" : "refuse";
    case "stored":
      if (changed) return deliverable || !carried ? "store" : "refuse";
      return touchDue && (deliverable || !carried) ? "touch" : "nothing";
  }
}

export interface CommitOptions {
  /** Whether a conflict is the outcome, instead of a retry. */
  once?: boolean;
  /** Whether even an empty session is stored. */
  forced?: boolean;
  /** Whether a change lengthens the session's life. Default `true`. */
  isUse?: boolean;
  /** The time left, where the commit is one of several attempts. */
  limit?: TimeLimit | undefined;
}

export interface CommitterOptions {
  clock: Clock;
  limits: Timeouts;
  events: Events;
  retries: Retries;
  maxBytes: number;
  owners?: OwnerHashes | undefined;
  format?: DataFormat | undefined;
  carried?: CarriedLimits;
}

/** How many handles a new session tries: only those of a broken generator collide. */
const HANDLES = 3;

interface Attempt extends CommitOptions {
  readonly changes: Changes;
  /** Epoch milliseconds. */
  readonly began: number;
}

/** Brings a request's changes to the store: decision, compare-and-set, merge after a conflict. */
export class Committer {
  readonly carried: CarriedLimits | undefined;
  readonly #clock: Clock;
  readonly #limits: Timeouts;
  readonly #events: Events;
  readonly #retries: Retries;
  readonly #maxBytes: number;
  readonly #owners: OwnerHashes | undefined;
  readonly #format: DataFormat | undefined;

  constructor({ clock, limits, events, retries, maxBytes, owners, format, carried }: CommitterOptions) {
    this.carried = carried;
    this.#clock = clock;
    this.#limits = limits;
    this.#events = events;
    this.#retries = retries;
    this.#maxBytes = maxBytes;
    this.#owners = owners;
    this.#format = format;
  }

  /** Commits one session. After a conflict, merges the changes into the newest record. */
  commit(access: StoreAccess, state: SessionState, delivery: Delivery, options: CommitOptions = {}): Awaitable<Commit> {
    const { status, rotation, record } = state;
    if (status === "ended") return GONE;
    const began = this.#clock.now();
    const changes = state.collect();
    const previous = rotation?.previous;
    const action = decideCommit({
      status,
      changed: changes !== undefined || (status === "blank" && !isEmpty(record, state.content)),
      forced: options.forced === true,
      touchDue: options.isUse !== false && touchIsDue(record.touchedAt, began, this.#limits),
      deliverable: delivery === "possible",
      carried: this.carried !== undefined,
      replaces: previous !== undefined,
    });
    switch (action) {
      case "nothing":
        return DONE;
      case "touch":
        return this.#touchQuietly(access, state);
      case "refuse":
        if (delivery !== "possible") this.#events.emit("cookie-not-sent", { reason: delivery });
        if (previous === undefined || delivery !== "insecure") return REFUSED;
        // The request goes on as the new session, which no client can ever hold.
        state.rotation = undefined;
        return after(access.delete(previous.handle), () => REFUSED_CLEAR);
      case "store": {
        const base = status === "stored" ? state : previous && { record: previous.record, content: rotation.content };
        return this.#store(access, state, base, { ...options, began, changes: changes ?? NO_CHANGES }, 1);
      }
    }
  }

  /** Moves the idle deadline. The outcome is `gone` if the session is. */
  touch(access: StoreAccess, state: SessionState): Awaitable<Commit> {
    const now = Math.max(this.#clock.now(), state.record.touchedAt);
    const expiresAt = expiryOf({ ...state.content.meta, createdAt: state.record.createdAt }, now, this.#limits);
    return after(access.touch(state.handle, now, expiresAt), (isThere) => {
      if (!isThere) return this.gone(state);
      state.record = { ...state.record, touchedAt: now, expiresAt };
      return this.carried === undefined ? DONE : DONE_SET;
    });
  }

  gone(state: SessionState): Commit {
    const { handle } = state.rotation?.previous ?? state;
    state.status = "ended";
    state.rotation = undefined;
    this.#events.emit("gone", { handle });
    return GONE;
  }

  reportOverwritten({ handle }: SessionState, properties: Iterable<string>): void {
    for (const property of properties) this.#events.emit("overwritten", { handle, property });
  }

  /** @param base the stored session to update, or to replace; `undefined` if there is none */
  #store(
    access: StoreAccess,
    state: SessionState,
    base: Stored | undefined,
    attempt: Attempt,
    tries: number,
  ): Awaitable<Commit> {
    const merged = merge(basisOf(state, base), attempt.changes);
    const content = this.#format?.prepare(merged, attempt.changes, state.rotation?.changes) ?? merged;
    return after(this.#write(access, state, base, content, attempt), (result) => {
      state.isUncertain = false;
      if (typeof result !== "string") return this.#stored(state, base, result, content, attempt.changes);
      switch (result) {
        case "gone":
          return mayBeginAgain(state) ? this.#store(access, state, undefined, attempt, tries + 1) : this.gone(state);
        case "taken":
          if (tries >= HANDLES)
            throw new SojournError("STORE_UNAVAILABLE", "the session store refuses every new handle");
          state.rename();
          return this.#store(access, state, base, attempt, tries + 1);
        case "conflict": {
          if (attempt.once === true) return CONFLICT;
          const limit = attempt.limit ?? this.#retries.limit(access, attempt.began);
          return this.#retries.retry(access, state, tries, limit, (newest) =>
            newest === undefined && !mayBeginAgain(state)
              ? this.gone(state)
              : this.#store(access, state, newest, { ...attempt, limit }, tries + 1),
          );
        }
      }
    });
  }

  /** Returns the record that was stored, or why none was. */
  #write(
    access: StoreAccess,
    state: SessionState,
    base: Stored | undefined,
    content: Content,
    { limit, forced, isUse, changes }: Attempt,
  ): Awaitable<Written> {
    const { rotation } = state;
    if (base !== undefined && rotation?.previous === undefined) {
      const { version, secretHash } = base.record;
      const unused = isUse === false ? changes : undefined;
      const record = this.#recordOf(base.record, content, secretHash, version + 1, unused);
      return after(access.update(state.handle, record, version, limit?.leftMs), (result) =>
        result === "ok" ? record : result,
      );
    }
    // A write that failed may still reach the store, where it is deleted: the handle is spent.
    if (state.isUncertain) state.rename();
    const isWorthStoring = forced === true || !isEmpty(state.record, content);
    const record = isWorthStoring ? this.#recordOf(state.record, content, this.#hashFor(state), 1) : null;
    return storeNew(access, state, base, record, { now: this.#clock.now(), events: this.#events });
  }

  /** @param record `null` if a stored session was replaced by an empty one, which is not stored */
  #stored(
    state: SessionState,
    base: Stored | undefined,
    record: SessionRecord | null,
    content: Content,
    changes: Changes,
  ): Commit {
    const { rotation, handle, status } = state;
    const previous = rotation?.previous?.handle;
    if (base !== undefined) {
      const names =
        rotation === undefined
          ? overwritten(changes, state.content, base.content)
          : [...overwritten(rotation.changes, rotation.content, base.content)].filter((name) =>
              content.encoded.has(name),
            );
      this.reportOverwritten(state, names);
    }
    if (record === null) {
      state.rotation = undefined;
    } else {
      state.settle(record, content, changes);
      if (status === "blank") this.#events.emit("create", { handle, userId: record.userId });
    }
    if (rotation !== undefined) reportRotation(this.#events, rotation, state);
    if (record === null) return previous === undefined ? DONE : DONE_CLEAR;
    return status === "blank" || changes.endsAt !== undefined || this.carried !== undefined ? DONE_SET : DONE;
  }

  /**
   * Returns a record of `content`, used now.
   * @param unused the changes of a request that is no use: they alone may lengthen the session's life
   * @throws SojournError TOO_LARGE
   */
  #recordOf(base: SessionRecord, content: Content, secretHash: string, version: number, unused?: Changes) {
    const payload = encodePayload(content);
    const { userId, createdAt, link } = base;
    // A UTF-16 unit is at most three bytes of UTF-8.
    const isSmall = this.carried === undefined && payload.length * 3 <= this.#maxBytes;
    if (!isSmall) requireFits({ payload, userId }, content, this.#maxBytes, this.carried);
    const touchedAt = unused === undefined ? Math.max(this.#clock.now(), base.touchedAt) : base.touchedAt;
    const isKept = unused !== undefined && unused.endsAt === undefined && unused.absoluteFrom === undefined;
    const expiresAt = isKept ? base.expiresAt : expiryOf({ ...content.meta, createdAt }, touchedAt, this.#limits);
    const record: SessionRecord = { payload, version, secretHash, userId, createdAt, touchedAt, expiresAt };
    if (link !== undefined) record.link = link;
    return record;
  }

  #hashFor({ secret, record: { userId, createdAt } }: SessionState): string {
    const secretHash = hashSecret(secret);
    return userId === null ? secretHash : (this.#owners?.hash(secretHash, { userId, createdAt }) ?? secretHash);
  }

  /**
   * Touches without failing. A failed touch costs the session some idle time, and the store's error
   * is an event already. Nothing is lost either if the session is gone.
   */
  #touchQuietly(access: StoreAccess, state: SessionState): Awaitable<Commit> {
    const touch = () => after(this.touch(access, state), (commit) => (commit.outcome === "gone" ? DONE : commit));
    return recover(touch, () => DONE);
  }
}

/** Returns the content that the changes go into: of a rotation, what it carries over. */
function basisOf({ rotation, content }: SessionState, base: Stored | undefined): Content {
  if (rotation === undefined) return base?.content ?? content;
  // Nothing of a session that is gone by now.
  const stored = base?.content ?? (rotation.previous === undefined ? rotation.content : EMPTY);
  return rotation.carry(merge(stored, rotation.changes));
}

/** Whether a session may begin without the one it replaces: a regeneration would revive that. */
function mayBeginAgain({ status, rotation }: SessionState): boolean {
  return status === "blank" && (rotation === undefined || rotation.kind === "login");
}

/** Whether there is nothing to store of a new session. */
function isEmpty({ userId }: SessionRecord, { meta, encoded }: Content): boolean {
  return userId === null && encoded.size === 0 && isBare(meta);
}
