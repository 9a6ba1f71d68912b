import { conflictError, goneError, SojournError, undeliverableError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after, type Clock, SerialQueue } from "../contract/time.ts";
import type { TokenSource } from "../crypto/token.ts";
import type { CommitOptions, Committer } from "./commit.ts";
import { type Content, EMPTY } from "./content.ts";
import type { DataFormat } from "./data-format.ts";
import type { Events } from "./events.ts";
import type { Links } from "./links.ts";
import type { DeviceInfo } from "./meta.ts";
import { type Commit, type CookieAction, type Delivery, DONE, GONE } from "./outcome.ts";
import type { Policy } from "./policy.ts";
import type { Retries } from "./retry.ts";
import type { RotatedToken } from "./rotated-handles.ts";
import { SessionState } from "./state.ts";
import type { StoreAccess, Stored } from "./store-access.ts";
import { type Duration, expiryOf, parseDuration, type Timeouts } from "./timeouts.ts";
import { refuseWithinUpdate } from "./within-update.ts";

/** The parts that all sessions of one application share. */
export interface SessionParts {
  readonly committer: Committer;
  readonly retries: Retries;
  readonly clock: Clock;
  readonly limits: Timeouts;
  readonly tokens: TokenSource;
  readonly events: Events;
  readonly policy: Policy;
  readonly format?: DataFormat | undefined;
  /** Requests with a login or regeneration that may not be stored yet. A `Set` would keep answered ones in memory. */
  readonly pending: SessionContext[];
  /** Ends sign-in links; `undefined` without `query()`. */
  links: Links | undefined;
  /** Describes the device that sent a request. */
  deviceOf(request: object): DeviceInfo;
}

/** What a context needs to know about its request. */
export interface RequestFacts {
  /** The session's transport as its metadata records it; `undefined` for the default. */
  readonly transport: string | undefined;
  /** Whether a token can still reach the client, now. */
  readonly delivery: Delivery;
  /** Whether a response waits for the final commit. Otherwise each login is stored at once. */
  readonly isHeld: boolean;
  /** Whether the response has begun to leave, or its client has disconnected. */
  readonly isOver: boolean;
  /** Whether the request is a use of its session, which lengthens its life. */
  readonly countsAsUse: boolean;
  /** For `SessionParts.deviceOf`. */
  readonly request: object;
}

/** A session as the store returned it, after its token was verified. */
export interface OpenedSession extends Stored {
  readonly handle: string;
  readonly secret: string;
  /** Names the record of a sealed session's payload, if the token has no room for it. */
  readonly overflowKey?: string;
}

/**
 * Holds the session of one request, and decides what the response must tell the client. The
 * operations of a request run one after the other. Each one either leaves the store unchanged or
 * completes.
 */
export class SessionContext {
  readonly parts: SessionParts;
  readonly access: StoreAccess;
  readonly request: RequestFacts;
  /** The current session. `regenerate` without `keep`, `logout` and `destroy` begin another one. */
  state: SessionState;
  /** What the response must do about the token. */
  cookie: CookieAction = "none";
  clearSiteData = false;
  /** Why the session could not be opened. Then nothing of this request is saved. */
  unavailable: SojournError | undefined = undefined;
  /**
   * Set if another session replaced the token's a moment ago. This request's writes are dropped, as
   * all late writes are: the cookie of a new session would replace the one that the client has just
   * received. A logout ends the successor.
   */
  late: RotatedToken | undefined = undefined;
  /** The token's session, if its data could not be migrated. It counts as absent, but a logout ends it. */
  aside: OpenedSession | undefined;
  /** Endings that the store has not confirmed yet. The commit retries them. */
  readonly endings: (() => Awaitable<unknown>)[] = [];
  /** The session after a logout, which is stored only if it has data: no client needs it empty. */
  farewell: SessionState | undefined = undefined;
  readonly queue = new SerialQueue();

  constructor(parts: SessionParts, access: StoreAccess, request: RequestFacts, opened?: OpenedSession) {
    this.parts = parts;
    this.access = access;
    this.request = request;
    this.aside = opened?.content.isSetAside === true ? opened : undefined;
    this.state =
      opened === undefined || this.aside !== undefined
        ? this.blank()
        : new SessionState({ status: "stored", ...opened }, parts.tokens, parts.events);
  }

  /** The current session, if it is in the store. */
  get stored(): SessionState | undefined {
    return this.state.status === "stored" ? this.state : undefined;
  }

  /**
   * Commits what this request did, before the response leaves and again at the end of a stream.
   * @throws SojournError SESSION_GONE if a session to regenerate has ended: the response would
   * report a success that did not happen
   */
  commit(): Awaitable<void> {
    if (this.unavailable !== undefined) return this.giveUp();
    // Before the queue: by the time of this turn the headers count as sent, though they wait for it.
    const { delivery } = this.request;
    return this.queue.run(() =>
      after(this.confirmEndings(), () => {
        const isRotated = this.state.rotation !== undefined;
        return after(this.store(this.state, delivery), isRotated ? requireThere : ignoreOutcome);
      }),
    );
  }

  /** Prepares a response that reports a failure: retries endings, and drops unsaved changes. */
  giveUp(): Awaitable<void> {
    return this.queue.run(() => {
      this.rollBack();
      return this.confirmEndings();
    });
  }

  /**
   * Deletes a session that this request stored, because the response brings no token to open it.
   * That includes a login, which may be half of what the application meant to save.
   */
  rollBack(): void {
    const { state } = this;
    // A login that waits for a commit is dropped; the session before it lives on.
    state.rotation = undefined;
    this.leavePending();
    if (!state.isNew || state.status !== "stored") return;
    state.status = "ended";
    this.cookie = "none";
    this.access.abandon(state.handle);
    const { actor } = state.content.meta;
    if (actor !== undefined) this.access.abandon(actor.session);
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
      if (state.status === "ended") throw goneError();
      if (state.status !== "stored") return undefined;
      const { committer } = this.parts;
      if (committer.carried !== undefined && this.request.delivery !== "possible") throw undeliverableError();
      return after(committer.touch(this.access, state), (commit) => requireThere(this.apply(state, commit)));
    });
  }

  persist(state: SessionState, duration: Duration | false): void {
    refuseIfReplaced(state);
    const now = this.parts.clock.now();
    if (duration === false) state.persist(null, now);
    else state.persist(now + parseDuration(duration, "persist(duration)"));
  }

  expiresAt({ record, content: { meta }, endsAt, absoluteFrom, status }: SessionState): number {
    const { createdAt, touchedAt, expiresAt } = record;
    const lifetime = { createdAt, endsAt, absoluteFrom, notAfter: meta.notAfter };
    const { clock, limits } = this.parts;
    if (this.request.countsAsUse || status !== "stored") return expiryOf(lifetime, clock.now(), limits);
    // Nobody has used it since.
    const end = expiryOf(lifetime, touchedAt, limits);
    return endsAt === meta.endsAt ? Math.min(end, expiresAt) : end;
  }

  /** Stores one session. The caller must hold its turn in the queue. */
  store(state: SessionState, delivery: Delivery, options?: CommitOptions): Awaitable<Commit> {
    const { committer, events } = this.parts;
    if (this.late !== undefined && state.status === "blank") {
      if (options?.forced !== true && state.collect() === undefined && state.content.encoded.size === 0) return DONE;
      events.emit("gone", { handle: state.handle });
      return GONE;
    }
    const how = this.request.countsAsUse ? options : { ...options, isUse: false };
    return after(committer.commit(this.access, state, delivery, how), (commit) => this.apply(state, commit));
  }

  /** Does nothing if no login of this request is pending. */
  leavePending(): void {
    const { pending } = this.parts;
    const at = pending.indexOf(this);
    const last = pending.at(-1);
    if (at === -1 || last === undefined) return;
    pending[at] = last;
    pending.pop();
  }

  /** Records what a commit means for the client's cookie. */
  apply(state: SessionState, commit: Commit): Commit {
    if (this.state.rotation === undefined) this.leavePending();
    if (this.state !== state) return commit;
    // A login elsewhere may have set a new cookie since, so nothing is cleared.
    if (state.status === "ended" || commit.outcome === "gone") this.cookie = "none";
    else if (commit.cookie !== "none") this.cookie = commit.cookie;
    if (this.farewell === state && state.status === "stored") this.farewell = undefined;
    return commit;
  }

  /** Retries the endings that the store has not confirmed. */
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

  blankRecord(userId: string | null = null, createdAt?: number, link?: string): SessionRecord {
    const touchedAt = this.parts.clock.now();
    const record: SessionRecord = {
      payload: "",
      version: 0,
      secretHash: "",
      userId,
      createdAt: createdAt ?? touchedAt,
      touchedAt,
      expiresAt: 0,
    };
    if (link !== undefined) record.link = link;
    return record;
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

/** @throws SojournError SESSION_ENDED for an object that its request has replaced */
export function refuseIfReplaced(state: SessionState): void {
  if (state.replacedBecause !== undefined) throw new SojournError("SESSION_ENDED", state.replacedBecause);
}

/** @throws SojournError SESSION_GONE */
function requireThere({ outcome }: Commit): void {
  if (outcome === "gone") throw goneError();
}

/** A late write is dropped; an event reports it. */
function ignoreOutcome(): void {}

/** @throws SojournError if a commit failed that the application awaits */
export function requireDone({ outcome }: Commit, delivery: Delivery): void {
  if (outcome === "gone") throw goneError();
  if (outcome === "conflict") throw conflictError();
  // On an insecure connection the session lives for this request, and a warning says so. But
  // headers that were sent are final.
  if (outcome === "refused" && delivery === "headers-sent") throw undeliverableError();
}
