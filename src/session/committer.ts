import { after, isPromise } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord, StoredSession, UpdateResult } from "../contract/store.ts";
import type { OwnerHashes } from "../crypto/owner.ts";
import { hashSecret, type TokenSource } from "../crypto/token.ts";
import { type Changes, type Content, merge, NOTHING, overwritten } from "./changes.ts";
import { decideCommit } from "./commit.ts";
import type { Events } from "./events.ts";
import { decodePayload, encodePayload } from "./record.ts";
import type { SessionState } from "./state.ts";
import type { StoreAccess } from "./store-access.ts";
import type { TimeLimit } from "./time-limit.ts";
import { expiryOf, type Timeouts, touchIsDue } from "./timeouts.ts";

/** Whether a token can still reach the client, or why not. */
export type Delivery = "possible" | "insecure" | "headers-sent";

/** What became of a commit. `refused`: there was something to store, but no way to send its token. */
export type Outcome = "done" | "gone" | "refused" | "conflict";

export interface CommitOptions {
  /** Whether a conflict is the outcome, instead of being merged with. */
  once?: boolean;
  /** Whether even an empty session is stored. */
  asked?: boolean;
  /** Where it is one of several tries. */
  limit?: TimeLimit | undefined;
}

export interface CommitterOptions {
  access: StoreAccess;
  clock: Clock;
  limits: Timeouts;
  tokens: TokenSource;
  events: Events;
  maxBytes: number;
  /** Set where there is a key to bind sessions to their users. */
  owners?: OwnerHashes | undefined;
  /** Set where the token that travels is the record. `revocable`: sessions can be ended without the client's help. */
  carried?: {
    revocable: boolean;
    /** What the token has no room for, where `maxBytes` alone doesn't tell: larger than what. */
    tooLarge?: (record: Pick<SessionRecord, "payload" | "userId">) => string | undefined;
    /** What an application can do about it. */
    remedy: string;
  };
}

/** Told of what a commit means for the client's token. */
export interface CommitListener {
  /** The session has a token that the client does not have yet, or another lifetime. */
  tokenChanged(state: SessionState): void;
  /** The session was found ended. */
  sessionGone(state: SessionState): void;
}

/**
 * How often a change is brought to newer data before it gives up with CONFLICT. Each conflict means that another request was done, so
 * a crowd gets through by itself; what never ends is a store that can't compare.
 */
const TRIES = 50;
/** How often a new session tries another handle when its own is taken: 128 random bits collide never, a broken generator always. */
const HANDLES = 3;

/** Brings what a request did to a session into the store: the decision, the compare-and-set, the merge after a conflict. */
export class Committer {
  readonly access: StoreAccess;
  readonly carried: CommitterOptions["carried"];
  readonly #clock: Clock;
  readonly #limits: Timeouts;
  readonly #tokens: TokenSource;
  readonly #events: Events;
  readonly #maxBytes: number;
  readonly #owners: OwnerHashes | undefined;

  constructor({ access, clock, limits, tokens, events, maxBytes, owners, carried }: CommitterOptions) {
    this.access = access;
    this.carried = carried;
    this.#clock = clock;
    this.#limits = limits;
    this.#tokens = tokens;
    this.#events = events;
    this.#maxBytes = maxBytes;
    this.#owners = owners;
  }

  /**
   * One commit of one session. On a conflict this request's changes are put over the newest state, again and again.
   */
  commit(
    state: SessionState,
    delivery: Delivery,
    listener: CommitListener,
    { once = false, asked = false, limit }: CommitOptions = {},
  ): Awaitable<Outcome> {
    if (state.standing === "ended") return "gone";
    const began = this.#clock.now();
    const changes = state.collect();
    const action = decideCommit({
      standing: state.standing,
      changed: changes !== undefined,
      asked,
      touchDue: touchIsDue(state.record.touchedAt, began, this.#limits),
      deliverable: delivery === "possible",
      carried: this.carried !== undefined,
    });
    switch (action) {
      case "nothing":
      case "delete":
        return "done";
      case "touch":
        return after(this.#touchQuietly(state, listener), () => "done");
      case "refuse":
        if (delivery !== "possible") this.#events.emit("cookie-not-sent", { reason: delivery });
        return "refused";
      case "create":
        return after(this.create(state, merge(state.content, changes ?? NOTHING), listener, changes), () => "done");
      case "update": {
        const first = this.#attempt(state, state.record, state.content, changes ?? NOTHING, listener, limit);
        return after(first, (outcome) => {
          if (outcome !== "conflict" || once) return outcome;
          const limit = this.access.limit(began);
          return this.inTurn(state, limit, () => this.#merge(state, changes ?? NOTHING, listener, limit, 1));
        });
      }
    }
  }

  /** Stores a session for the first time. */
  create(
    state: SessionState,
    content: Content,
    listener: CommitListener,
    changes: Changes | undefined,
    tries = 1,
  ): Awaitable<void> {
    const record = this.recordOf(state.record, content, this.#hashFor(state), 1);
    return after(this.access.create(state.handle, record), (created) => {
      if (created) return this.#created(state, record, content, listener, changes);
      this.rename(state, tries);
      return this.create(state, content, listener, changes, tries + 1);
    });
  }

  /** Stores a session for the first time, in the place of another one, which ends. */
  replace(
    { handle, version, tombstone }: { handle: string; version: number; tombstone: StoredSession },
    state: SessionState,
    content: Content,
    listener: CommitListener,
  ): Awaitable<UpdateResult | "taken"> {
    const record = this.recordOf(state.record, content, this.#hashFor(state), 1);
    return after(this.access.replace(handle, version, state.handle, record, tombstone), (result) => {
      if (result === "ok") this.#created(state, record, content, listener, undefined);
      return result;
    });
  }

  /** What is stored of a session now; `undefined` where it was ended, or where the record has become another user's. */
  reread(
    { handle, record: { userId } }: SessionState,
    withinMs?: number,
  ): Awaitable<{ record: SessionRecord; content: Content } | undefined> {
    return after(this.access.load(handle, withinMs), (record) => {
      // A session's user never changes, and only a token tells whether a record is its user's.
      const content = record?.userId === userId ? decodePayload(record.payload) : undefined;
      return record === undefined || content === undefined ? undefined : { record, content };
    });
  }

  /** Another handle for a session whose own was taken. */
  rename(state: SessionState, tries: number): void {
    if (tries >= HANDLES) throw new SojournError("STORE_UNAVAILABLE", "the session store refuses every new handle");
    state.handle = this.#tokens.handle();
  }

  /** Moves the idle deadline. `false` if the session is gone. */
  touch(state: SessionState, listener: CommitListener): Awaitable<boolean> {
    const now = Math.max(this.#clock.now(), state.record.touchedAt);
    const expiresAt = expiryOf({ ...state.content.facts, createdAt: state.record.createdAt }, now, this.#limits);
    return after(this.access.touch(state.handle, now, expiresAt), (there) => {
      if (there) state.record = { ...state.record, touchedAt: now, expiresAt };
      else this.gone(state, listener);
      if (there && this.carried !== undefined) listener.tokenChanged(state);
      return there;
    });
  }

  tellOverwritten({ handle }: SessionState, properties: ReadonlySet<string>): void {
    for (const property of properties) this.#events.emit("overwritten", { handle, property });
  }

  gone(state: SessionState, listener: CommitListener): "gone" {
    state.standing = "ended";
    listener.sessionGone(state);
    this.#events.emit("gone", { handle: state.handle });
    return "gone";
  }

  /**
   * A pause before the second and later tries, so that processes that collided don't collide again.
   *
   * @throws SojournError CONFLICT after the last try, or when the time for all of them is over
   */
  again<T>(state: SessionState, tries: number, limit: TimeLimit, work: () => Awaitable<T>): Awaitable<T> {
    if (tries > TRIES || limit.leftMs === 0) throw conflictError();
    this.#events.emit("conflict", { handle: state.handle, attempt: tries });
    return tries === 1 ? work() : this.access.pause(Math.min(2 * tries, 20)).then(work);
  }

  /** Retries on one session take turns in this process. A synchronous store needs no turns: nothing comes between its load and its update. */
  inTurn<T>(state: SessionState, limit: TimeLimit, work: () => Awaitable<T>): Awaitable<T> {
    return this.access.isSynchronous ? work() : this.access.inTurn(state.handle, work, limit, conflictError);
  }

  /** What is stored of `content` now. @throws SojournError TOO_LARGE */
  recordOf(base: SessionRecord, content: Content, secretHash: string, version: number): SessionRecord {
    const payload = encodePayload(content.facts, content.texts);
    this.#refuseOversize(payload, content, base.userId);
    const now = Math.max(this.#clock.now(), base.touchedAt);
    const { userId, createdAt } = base;
    const expiresAt = expiryOf({ ...content.facts, createdAt }, now, this.#limits);
    return { payload, version, secretHash, userId, createdAt, touchedAt: now, expiresAt };
  }

  #hashFor({ secret, record: { userId, createdAt } }: SessionState): string {
    const secretHash = hashSecret(secret);
    return userId === null ? secretHash : (this.#owners?.hash(secretHash, { userId, createdAt }) ?? secretHash);
  }

  #created(
    state: SessionState,
    record: SessionRecord,
    content: Content,
    listener: CommitListener,
    changes: Changes | undefined,
  ): void {
    state.settle(record, content, changes);
    listener.tokenChanged(state);
    this.#events.emit("create", { handle: state.handle, userId: record.userId });
  }

  #attempt(
    state: SessionState,
    base: SessionRecord,
    stored: Content,
    changes: Changes,
    listener: CommitListener,
    limit?: TimeLimit,
  ): Awaitable<Outcome> {
    const content = merge(stored, changes);
    const record = this.recordOf(base, content, base.secretHash, base.version + 1);
    return after(this.access.update(state.handle, record, base.version, limit?.leftMs), (result) => {
      if (result === "conflict") return "conflict";
      if (result === "gone") return this.gone(state, listener);
      this.tellOverwritten(state, overwritten(changes, state.content, stored));
      state.settle(record, content, changes);
      if (changes.until !== undefined || this.carried !== undefined) listener.tokenChanged(state);
      return "done";
    });
  }

  #merge(
    state: SessionState,
    changes: Changes,
    listener: CommitListener,
    limit: TimeLimit,
    tries: number,
  ): Awaitable<Outcome> {
    return this.again(state, tries, limit, () =>
      after(this.reread(state, limit.leftMs), (newest) => {
        if (newest === undefined) return this.gone(state, listener);
        const { record, content } = newest;
        return after(this.#attempt(state, record, content, changes, listener, limit), (outcome) =>
          outcome === "conflict" ? this.#merge(state, changes, listener, limit, tries + 1) : outcome,
        );
      }),
    );
  }

  /** A touch that fails costs the session some idle time, and the request nothing: the store's error is an event already. */
  #touchQuietly(state: SessionState, listener: CommitListener): Awaitable<unknown> {
    try {
      const work = this.touch(state, listener);
      return isPromise(work) ? work.catch(() => undefined) : work;
    } catch {
      return undefined;
    }
  }

  #refuseOversize(payload: string, content: Content, userId: string | null): void {
    const user = this.carried === undefined ? "" : (userId ?? "");
    // A UTF-16 unit is at most three bytes of UTF-8.
    const isSmall =
      (payload.length + user.length) * 3 <= this.#maxBytes ||
      Buffer.byteLength(payload) + Buffer.byteLength(user) <= this.#maxBytes;
    const limit = isSmall ? this.carried?.tooLarge?.({ payload, userId }) : `maxBytes (${this.#maxBytes})`;
    if (limit === undefined) return;
    const largest = [...content.texts].sort((a, b) => b[1].length - a[1].length).slice(0, 3);
    const named = largest.map(([name, text]) => `${JSON.stringify(name)} (${Buffer.byteLength(text)} bytes)`);
    throw new SojournError(
      "TOO_LARGE",
      `the session is larger than ${limit}; its largest properties: ${named.join(", ")}. Keep large data in your database and its ID in the session, or ${this.carried?.remedy ?? "raise maxBytes"}`,
    );
  }
}

export function goneError(): SojournError {
  return new SojournError(
    "SESSION_GONE",
    "the session was ended meanwhile, by a logout, a revocation or its time; nothing was saved",
  );
}

export function conflictError(): SojournError {
  return new SojournError("CONFLICT", "other requests kept changing the session; nothing was saved");
}

export function undeliverableError(): SojournError {
  return new SojournError(
    "HEADERS_SENT",
    "the session needs a cookie that can't be sent: change it before the response starts, and over HTTPS if the cookie is Secure",
  );
}
