import { conflictError, goneError, SojournError, undeliverableError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after, type Clock, SerialQueue } from "../contract/time.ts";
import type { TokenSource } from "../crypto/token.ts";
import {
  type Commit,
  type CommitOptions,
  type Committer,
  type CookieAction,
  type Delivery,
  DONE,
  GONE,
} from "./commit.ts";
import { type Content, type DeviceInfo, EMPTY } from "./content.ts";
import type { Events } from "./events.ts";
import type { Links } from "./links.ts";
import type { Retries } from "./retry.ts";
import type { RotatedToken } from "./rotated-handles.ts";
import { SessionState } from "./state.ts";
import type { StoreAccess, Stored } from "./store-access.ts";
import { type Duration, expiryOf, parseDuration, type Timeouts } from "./timeouts.ts";
import { refuseWithinUpdate } from "./within-update.ts";

/** What the sessions of one application share. */
export interface SessionParts {
  readonly committer: Committer;
  readonly retries: Retries;
  readonly clock: Clock;
  readonly limits: Timeouts;
  readonly tokens: TokenSource;
  readonly events: Events;
  /** Requests whose login or regeneration is not stored yet; some are. */
  readonly pending: WeakRef<SessionContext>[];
  /** Sign-in links, if the application has any. */
  links: Links | undefined;
  /** Describes the device that sent a request. */
  deviceOf(request: object): DeviceInfo;
}

/** What a context knows of its request. */
export interface RequestFacts {
  /** The transport as a session remembers it; `undefined` for the default. */
  readonly transport: string | undefined;
  /** Whether a token can still reach the client. The HTTP layer keeps it up to date. */
  delivery: Delivery;
  /** Whether a response waits for the commit at the end. Otherwise logins are stored at once. */
  readonly isHeld: boolean;
  /** Whether the response has begun to leave, or its client has gone. */
  readonly isOver: boolean;
  /** For `SessionParts.deviceOf`. */
  readonly request: object;
}

/** A session as the store had it, with its token checked. */
export interface OpenedSession extends Stored {
  readonly handle: string;
  readonly secret: string;
  /** Names the record that holds the payload of a sealed session, if its token has no room for it. */
  readonly overflowKey?: string;
}

/**
 * The session of one request: what its methods do, and what the response must tell the client. The operations of a request run one
 * after the other. Each leaves the store as it was, or done.
 */
export class SessionContext {
  readonly parts: SessionParts;
  readonly access: StoreAccess;
  readonly request: RequestFacts;
  /** The current session; `regenerate` without `keep`, `logout` and `destroy` begin another one. */
  state: SessionState;
  /** What the response must do about the token. */
  cookie: CookieAction = "none";
  clearSiteData = false;
  /** Why the session could not be opened. Nothing of this request is saved then. */
  unavailable: SojournError | undefined = undefined;
  /**
   * Set if the token's session was replaced a moment ago. What this request writes is dropped, as every late write is: the cookie of
   * a new session would replace the one that the client has just received. A logout ends the successor.
   */
  late: RotatedToken | undefined = undefined;
  /** Endings that the store has not confirmed, to be tried again. */
  readonly endings: (() => Awaitable<unknown>)[] = [];
  /** The session after a logout. Only data stores it, because a client who logged out needs no session. */
  farewell: SessionState | undefined = undefined;
  /** Whether a login or a regeneration waits for the commit. */
  isRotating = false;
  readonly queue = new SerialQueue();

  constructor(parts: SessionParts, access: StoreAccess, request: RequestFacts, opened?: OpenedSession) {
    this.parts = parts;
    this.access = access;
    this.request = request;
    this.state =
      opened === undefined
        ? this.blank()
        : new SessionState({ status: "stored", ...opened }, parts.tokens, parts.events);
  }

  /** The current session, if it is in the store. */
  get stored(): SessionState | undefined {
    return this.state.status === "stored" ? this.state : undefined;
  }

  /**
   * Commits what this request did: before the response leaves, and again at the end of a stream.
   * @throws SojournError SESSION_GONE if a session that was to be regenerated has ended: the response would claim what was not done
   */
  commit(): Awaitable<void> {
    if (this.unavailable !== undefined) return this.giveUp();
    return this.queue.run(() =>
      after(this.confirmEndings(), () => {
        const isRotated = this.state.rotation !== undefined;
        return after(this.store(this.state, this.request.delivery), ({ outcome }) => {
          if (isRotated && outcome === "gone") throw goneError();
        });
      }),
    );
  }

  /** For a response that reports the failure: retries what was to be ended, and drops what was to be saved. */
  giveUp(): Awaitable<void> {
    return this.queue.run(() => {
      this.rollBack();
      return this.confirmEndings();
    });
  }

  /**
   * For a response that brings no token: deletes a session that this request stored, which nobody could open. That includes a login,
   * which may be half of what the application meant to save.
   */
  rollBack(): void {
    const { state } = this;
    this.isRotating = false;
    if (!state.isNew || state.status !== "stored") return;
    state.status = "ended";
    this.cookie = "none";
    this.access.abandon(state.handle);
    this.parts.events.emit("destroy", { handle: state.handle, userId: state.record.userId });
  }

  save(state: SessionState): Awaitable<void> {
    this.refuseIfUnusable(state);
    const { delivery } = this.request;
    return this.queue.run(() =>
      after(this.store(state, delivery, { forced: state !== this.farewell }), (commit) =>
        requireDone(commit, delivery),
      ),
    );
  }

  reload(state: SessionState): Awaitable<void> {
    this.refuseIfUnusable(state);
    return this.queue.run(() => {
      if (state.status === "blank") return state.reset(state.record, state.content);
      return after(this.access.reread(state.handle, state.record.userId), (newest) => {
        if (newest !== undefined) return state.reset(newest.record, newest.content);
        this.apply(state, this.parts.committer.gone(state));
        throw goneError();
      });
    });
  }

  touch(state: SessionState): Awaitable<void> {
    this.refuseIfUnusable(state);
    return this.queue.run(() => {
      if (state.status !== "stored") return undefined;
      const { committer } = this.parts;
      if (committer.carried !== undefined && this.request.delivery !== "possible") throw undeliverableError();
      return after(committer.touch(this.access, state), (commit) => {
        this.apply(state, commit);
        if (commit.outcome === "gone") throw goneError();
      });
    });
  }

  persist(state: SessionState, duration: Duration | false): void {
    refuseIfReplaced(state);
    const now = this.parts.clock.now();
    if (duration === false) state.persist(null, now);
    else state.persist(now + parseDuration(duration, "persist(duration)"));
  }

  expiresAt({ record: { createdAt }, endsAt, absoluteFrom }: SessionState): number {
    return expiryOf({ createdAt, endsAt, absoluteFrom }, this.parts.clock.now(), this.parts.limits);
  }

  /** Brings one session to the store. For callers whose turn in the queue it is. */
  store(state: SessionState, delivery: Delivery, options?: CommitOptions): Awaitable<Commit> {
    const { committer, events } = this.parts;
    if (this.late !== undefined && state.status === "blank") {
      if (options?.forced !== true && state.collect() === undefined && state.content.encoded.size === 0) return DONE;
      events.emit("gone", { handle: state.handle });
      return GONE;
    }
    return after(committer.commit(this.access, state, delivery, options), (commit) => {
      if (state.rotation === undefined) this.isRotating = false;
      return this.apply(state, commit);
    });
  }

  /** Notes what a commit means for the client's cookie. */
  apply(state: SessionState, commit: Commit): Commit {
    if (this.state !== state) return commit;
    // Whatever ended the session, the response of a login may have set a new cookie since: nothing is cleared.
    if (state.status === "ended" || commit.outcome === "gone") this.cookie = "none";
    else if (commit.cookie !== "none") this.cookie = commit.cookie;
    if (this.farewell === state && state.status === "stored") this.farewell = undefined;
    return commit;
  }

  /** Has the store end what was ended, and again at the end of the request if it did not confirm. */
  confirmEndings(): Awaitable<void> {
    const ending = this.endings[0];
    if (ending === undefined) return undefined;
    return after(ending(), () => {
      this.endings.shift();
      return this.confirmEndings();
    });
  }

  /** Returns a session that is not stored. */
  blank(content: Content = EMPTY, record: SessionRecord = this.blankRecord()): SessionState {
    const { tokens, events } = this.parts;
    return new SessionState({ status: "blank", record, content: this.stamped(content) }, tokens, events);
  }

  blankRecord(userId: string | null = null, createdAt: number = this.parts.clock.now()): SessionRecord {
    const touchedAt = this.parts.clock.now();
    return { payload: "", version: 0, secretHash: "", userId, createdAt, touchedAt, expiresAt: 0 };
  }

  /** Adds the transport to a session's metadata, unless it is the default. */
  stamped(content: Content): Content {
    const { transport } = this.request;
    return transport === undefined ? content : { ...content, meta: { ...content.meta, transport } };
  }

  refuseIfUnusable(state: SessionState): void {
    refuseIfReplaced(state);
    refuseWithinUpdate(this);
    if (this.unavailable !== undefined) throw this.unavailable;
  }
}

/** @throws SojournError SESSION_ENDED for an object that another one has replaced in its request */
export function refuseIfReplaced(state: SessionState): void {
  if (state.replacedBecause !== undefined) throw new SojournError("SESSION_ENDED", state.replacedBecause);
}

/** @throws SojournError if a commit that the application waits for did not succeed */
export function requireDone({ outcome }: Commit, delivery: Delivery): void {
  if (outcome === "gone") throw goneError();
  if (outcome === "conflict") throw conflictError();
  // Over an insecure channel the session lives for this request, and a warning says so. But these headers are gone for good.
  if (outcome === "refused" && delivery === "headers-sent") throw undeliverableError();
}
