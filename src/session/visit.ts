import { after, isPromise } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import type { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import type { TokenSource } from "../crypto/token.ts";
import { type Changes, type Content, EMPTY, overwritten } from "./changes.ts";
import {
  type CommitListener,
  type CommitOptions,
  type Committer,
  conflictError,
  type Delivery,
  goneError,
  type Outcome,
  undeliverableError,
} from "./committer.ts";
import type { Events } from "./events.ts";
import { carry, type Kept, keepOption } from "./keep.ts";
import type { DeviceInfo } from "./record.ts";
import { Replacement } from "./replacement.ts";
import {
  createSession,
  type LiveSession,
  type LoginOptions,
  type LogoutOptions,
  type RegenerateOptions,
  refuseIfRetired,
  type SessionOperations,
} from "./session.ts";
import { type DamageListener, SessionState, type StateBegin } from "./state.ts";
import type { Replaced, Superseded } from "./superseded.ts";
import type { TimeLimit } from "./time-limit.ts";
import { type Duration, expiryOf, parseDuration, type Timeouts } from "./timeouts.ts";
import { Turns } from "./turns.ts";
import { refuseWithinUpdate, runUpdate } from "./updating.ts";
import { checkedUserId } from "./user-id.ts";

/** What all visits of one application share. */
export interface VisitEnvironment {
  readonly committer: Committer;
  readonly clock: Clock;
  readonly limits: Timeouts;
  readonly tokens: TokenSource;
  readonly events: Events;
  readonly superseded: Superseded;
  /** Ends all sessions of a user; how many there were. */
  endAll(userId: string): Awaitable<number>;
}

/** What a visit has to know of the way to its client. */
export interface Client {
  /** The transport, as a session remembers it; absent for a cookie. */
  readonly via?: string | undefined;
  delivery(): Delivery;
  device(): DeviceInfo;
}

/** A session as the store has it. */
export interface StoredState {
  handle: string;
  record: SessionRecord;
  content: Content;
}

/** A session as the store had it, its token checked. */
export interface OpenedSession extends StoredState {
  secret: string;
  /** Where the payload of a sealed session was kept that its token had no room for. */
  elsewhere?: string;
}

interface Owner {
  userId: string | null;
  createdAt: number;
}

/** What a new session takes over from the one in whose place it comes. */
interface Plan {
  owner: Owner;
  kept: Kept;
  carried: (content: Content) => Content;
}

/**
 * One request's stay: its session, what its methods do, and what its client must be told at the end. Operations of one visit run
 * one after the other; each leaves the store either as it was or done.
 */
export class Visit implements SessionOperations, CommitListener, DamageListener {
  /** What the response has to tell the client about its token. */
  token: "keep" | "send" | "clear" = "keep";
  clearSiteData = false;
  /** Set when the store could not be asked and the application chose to go on: nothing of this visit is saved. */
  detached: SojournError | undefined = undefined;

  /**
   * Set where the request's token is of a session that was replaced a moment ago. What it writes is dropped, as every late write is: a
   * new session's cookie would take the place of the one that the client has just been given. A logout ends what the session became.
   */
  isLate: Replaced | false = false;

  readonly #env: VisitEnvironment;
  readonly #client: Client;
  #session: LiveSession;
  #state: SessionState;
  /** Endings that the store has not confirmed, to be asked for again. */
  readonly #unconfirmed: (() => Awaitable<unknown>)[] = [];
  /** What took the place of a destroyed session: only data begins it, because a client who logged out needs no session. */
  #farewell: SessionState | undefined = undefined;
  readonly #turns = new Turns();

  constructor(env: VisitEnvironment, client: Client, opened?: OpenedSession) {
    this.#env = env;
    this.#client = client;
    const made = opened === undefined ? this.#blank() : this.#open(opened);
    this.#session = made.session;
    this.#state = made.state;
  }

  /** `req.session`: after `regenerate` without `keep`, `logout` and `destroy` another object than before. */
  get session(): LiveSession {
    return this.#session;
  }

  /** The secret of the current session, for the token that travels. */
  get secret(): string {
    return this.#state.secret;
  }

  /** The current session's record as it was stored last. */
  get record(): SessionRecord {
    return this.#state.record;
  }

  /** Until when the cookie should outlive the browser; `undefined`: it ends with it. */
  get until(): number | undefined {
    return this.#state.until;
  }

  /** Whether the current session is in the store. */
  get isStored(): boolean {
    return this.#state.standing === "stored";
  }

  /** The current session, if it is in the store. */
  get stored(): StoredState | undefined {
    return this.isStored ? this.#state : undefined;
  }

  /** Whether the last thing that was asked of the store failed, and the application was told. */
  get hasFailed(): boolean {
    return this.#turns.hasFailed;
  }

  /** For an answer that admits the failure: what was to be ended is asked for once more, what was to be saved is dropped. */
  giveUp(): Awaitable<void> {
    return this.#turns.take(() => {
      this.takeBack();
      return this.#confirmEndings();
    });
  }

  /**
   * For an answer that brings no token: ends a session that was stored here, which nobody could ever open. That of a login, too, which may
   * have been half of what the application meant to save.
   */
  takeBack(): void {
    const state = this.#state;
    if (!state.isNew || state.standing !== "stored") return;
    state.standing = "ended";
    this.token = "keep";
    this.#env.committer.access.abandon(state.handle);
    this.#env.events.emit("destroy", { handle: state.handle, userId: state.record.userId });
  }

  /** Writes down what this request did: before the response leaves, and once more at the end of a stream. Plain when there was nothing to wait for. */
  commit(): Awaitable<void> {
    if (this.detached !== undefined) return this.giveUp();
    const delivery = this.#client.delivery();
    return this.#turns.take(() =>
      after(this.#confirmEndings(), () => after(this.#commit(this.#state, delivery), () => undefined)),
    );
  }

  save(state: SessionState): Awaitable<void> {
    this.#refuseIfUnusable(state);
    const delivery = this.#client.delivery();
    return this.#turns.take(() =>
      after(this.#commit(state, delivery, { asked: state !== this.#farewell }), (outcome) =>
        this.#require(outcome, delivery),
      ),
    );
  }

  reload(state: SessionState): Awaitable<void> {
    this.#refuseIfUnusable(state);
    return this.#turns.take(() => {
      if (state.standing === "blank") {
        state.reset(state.record, this.#stamped(EMPTY));
        return undefined;
      }
      return after(this.#env.committer.reread(state), (newest) => {
        if (newest === undefined) {
          this.#env.committer.gone(state, this);
          throw goneError();
        }
        state.reset(newest.record, newest.content);
      });
    });
  }

  regenerate(state: SessionState, { keep = false }: RegenerateOptions): Awaitable<void> {
    const kept = keepOption(keep, "regenerate");
    return this.#replace(state, "regenerate", () => {
      const { userId, createdAt } = state.record;
      // What is kept keeps its age, or carrying it over would make it live for ever.
      const owner = {
        userId: kept === true ? userId : null,
        createdAt: kept === false ? this.#env.clock.now() : createdAt,
      };
      return { owner, kept, carried: (content) => carry(content, kept) };
    });
  }

  login(state: SessionState, userId: string, options: LoginOptions): Awaitable<void> {
    checkedUserId(userId, "login(userId)");
    const { remember = false, device } = options;
    const now = this.#env.clock.now();
    const until = remember === false ? undefined : now + parseDuration(remember, "remember");
    const wanted = options.keep === undefined ? undefined : keepOption(options.keep, "login");
    const shown = { ...this.#client.device(), ...(typeof device === "string" ? { label: device } : device) };
    return this.#replace(state, "login", () => {
      // Another user's cart is not carried into this user's session unless the application asks for it.
      const another = state.record.userId !== null && state.record.userId !== userId;
      const kept = wanted ?? !another;
      const carried = (content: Content): Content => {
        const { texts, facts } = carry(content, kept);
        const { flash } = facts;
        return {
          texts,
          facts: { device: shown, ...(flash !== undefined && { flash }), ...(until !== undefined && { until }) },
        };
      };
      return { owner: { userId, createdAt: now }, kept, carried };
    });
  }

  logout(state: SessionState, { everywhere = false, clearSiteData = false }: LogoutOptions): Awaitable<void> {
    const { userId } = state.record;
    const ended = this.#end(state, everywhere && userId !== null ? () => this.#env.endAll(userId) : undefined);
    if (clearSiteData) this.clearSiteData = true;
    return ended;
  }

  destroy(state: SessionState): Awaitable<void> {
    return this.#end(state);
  }

  touch(state: SessionState): Awaitable<void> {
    this.#refuseIfUnusable(state);
    return this.#turns.take(() => {
      if (state.standing !== "stored") return undefined;
      if (this.#env.committer.carried !== undefined && this.#client.delivery() !== "possible")
        throw undeliverableError();
      return after(this.#env.committer.touch(state, this), (there) => {
        if (!there) throw goneError();
      });
    });
  }

  update<T>(state: SessionState, change: () => Awaitable<T>): Awaitable<T> {
    this.#refuseIfUnusable(state);
    const delivery = this.#client.delivery();
    const { committer } = this.#env;
    return this.#turns.take(() => {
      const before = state.collect();
      const lost = new Set<string>();
      let limit: TimeLimit | undefined;
      /** What the function did that is neither stored nor taken back. */
      let undecided: Changes | undefined;
      const attempt = (tries: number): Awaitable<T> => {
        const run = () => runUpdate(this, change);
        return after(limit === undefined ? run() : limit.without(run), (result) => {
          const began = this.#env.clock.now();
          const tried = state.collect();
          return after(this.#commit(state, delivery, { once: true, limit }), (outcome) => {
            if (outcome !== "conflict" || tried === undefined) {
              this.#require(outcome, delivery);
              committer.tellOverwritten(state, lost);
              return result;
            }
            limit ??= committer.access.limit(began);
            const all = limit;
            undecided = tried;
            const again = () => committer.again(state, tries, all, () => retry(tried, tries + 1, all));
            return tries === 1 ? committer.inTurn(state, all, again) : again();
          });
        });
      };
      const retry = (tried: Changes, tries: number, all: TimeLimit): Awaitable<T> =>
        after(committer.reread(state, all.leftMs), (newest) => {
          if (newest === undefined) {
            committer.gone(state, this);
            throw goneError();
          }
          const { record, content } = newest;
          // What the function did is done again; what was changed before it is put over the newest.
          if (before !== undefined) for (const name of overwritten(before, state.content, content)) lost.add(name);
          undecided = undefined;
          state.rebase(record, content, before, tried);
          return attempt(tries);
        });
      const failed = (error: unknown): never => {
        // Or the end of the request would save it after all, over what others have stored.
        if (undecided !== undefined) state.rebase(state.record, state.content, before, undecided);
        throw error;
      };
      try {
        const updated = attempt(1);
        return isPromise(updated) ? updated.catch(failed) : updated;
      } catch (error) {
        return failed(error);
      }
    });
  }

  persist(state: SessionState, duration: Duration | false): void {
    refuseIfRetired(state);
    const now = this.#env.clock.now();
    if (duration === false) state.persist(null, now);
    else state.persist(now + parseDuration(duration, "persist(duration)"));
  }

  expiresAt(state: SessionState): number {
    const lifetime = { createdAt: state.record.createdAt, until: state.until, from: state.from };
    return expiryOf(lifetime, this.#env.clock.now(), this.#env.limits);
  }

  tokenChanged(state: SessionState): void {
    if (this.#state === state) this.token = "send";
  }

  sessionGone(state: SessionState): void {
    // Whatever ended it, a login's answer may have brought the client a new cookie since: nothing is cleared.
    if (this.#state === state) this.token = "keep";
  }

  #commit(state: SessionState, delivery: Delivery, options: CommitOptions = {}): Awaitable<Outcome> {
    if (this.isLate && state.standing === "blank" && (options.asked === true || state.collect() !== undefined)) {
      this.#env.events.emit("gone", { handle: state.handle });
      return "gone";
    }
    return this.#env.committer.commit(state, delivery, this, options);
  }

  #require(outcome: Outcome, delivery: Delivery): void {
    if (outcome === "gone") throw goneError();
    if (outcome === "conflict") throw conflictError();
    // Over an insecure channel the session lives for this request, and a warning tells; but these headers were sent for good.
    if (outcome === "refused" && delivery === "headers-sent") throw undeliverableError();
  }

  /** A session that only its client keeps can't be ended, or used longer, behind the client's back. */
  #requireDelivery(): void {
    if (this.#env.committer.carried?.revocable === false && this.#client.delivery() !== "possible")
      throw undeliverableError();
  }

  #end(state: SessionState, also?: () => Awaitable<unknown>): Awaitable<void> {
    refuseIfRetired(state);
    refuseWithinUpdate(this);
    if (state.standing === "stored") this.#requireDelivery();
    state.retired = "this session was destroyed in this request; req.session is a new one";
    if (this.#state === state) this.#moveTo(this.#blank());
    this.#farewell = this.#state;
    this.token = "clear";
    const { detached } = this;
    if (detached !== undefined) {
      // The store was not to be had: that this session ended must not be claimed, even if nobody waits for this call.
      this.#unconfirmed.push(() => Promise.reject(detached));
      throw detached;
    }
    // In turn even if it was not stored until now: a save of it may be on its way.
    return this.#turns.take(() => {
      if (state.standing === "stored") {
        state.standing = "ending";
        this.#unconfirmed.push(() => this.#delete(state));
      } else if (state.standing === "blank" && this.isLate && this.isLate.handle !== undefined) {
        const { handle } = this.isLate;
        this.#unconfirmed.push(() => this.#env.superseded.end(handle));
      }
      if (also !== undefined) this.#unconfirmed.push(also);
      return this.#confirmEndings();
    });
  }

  #delete(state: SessionState): Awaitable<void> {
    const { events, superseded } = this.#env;
    return after(superseded.end(state.handle), () => {
      state.standing = "ended";
      events.emit("destroy", { handle: state.handle, userId: state.record.userId });
    });
  }

  /** Tells the store of what was ended, and again at the end of the request if it did not confirm. */
  #confirmEndings(): Awaitable<void> {
    const ending = this.#unconfirmed[0];
    if (ending === undefined) return undefined;
    return after(ending(), () => {
      this.#unconfirmed.shift();
      return this.#confirmEndings();
    });
  }

  /**
   * Puts a new session in the place of `old`. The object that handlers hold goes on as the new one, unless that keeps nothing on purpose:
   * what they would still write to the old one must not get into it.
   */
  #replace(old: SessionState, operation: "login" | "regenerate", plan: () => Plan): Awaitable<void> {
    this.#refuseIfUnusable(old);
    const delivery = this.#client.delivery();
    if (delivery === "headers-sent") throw undeliverableError();
    const { committer, events, superseded } = this.#env;
    return this.#turns.take(() => {
      // Again: another operation may have had its turn in between.
      refuseIfRetired(old);
      const { owner, kept, carried } = plan();
      const goesOn = operation === "login" || kept !== false;
      const fresh = this.#blank(owner);
      const previous = old.standing === "stored" ? old.handle : undefined;
      const seen = { ...old.values };
      const replacement = new Replacement(committer, this, {
        old,
        fresh: fresh.state,
        carried: (content) => this.#stamped(carried(content)),
        // Not even with nothing kept: applications carry a user over by hand, and would bring a revoked login back.
        mayBeginAnew: operation === "login",
        began: this.#env.clock.now(),
        tombstone: (gone, successor) =>
          superseded.tombstone(gone, successor, operation === "regenerate" && kept === true),
      });
      const finish = (): void => {
        const { handle, record, standing } = fresh.state;
        if (this.#state === old) {
          if (standing === "stored") this.token = "send";
          else if (previous !== undefined) this.token = "clear";
          if (!goesOn) this.#moveTo(fresh);
        }
        if (goesOn) old.become(fresh.state, replacement.changes, seen);
        else old.standing = "ended";
        if (this.#farewell === old) this.#farewell = undefined;
        if (operation === "login") events.emit("login", { handle, userId: record.userId ?? "", previous });
        else if (previous !== undefined) events.emit("regenerate", { handle, previous });
      };
      const abort = (error: unknown): never => {
        if (!goesOn) old.retired = undefined;
        if (old.standing === "ended") this.sessionGone(old);
        throw error;
      };
      if (!goesOn)
        old.retired = "this session was replaced by regenerate() in this request; write to req.session, the new one";
      try {
        if (delivery === "insecure") {
          // Nobody could ever hold its token: it lives for this request only.
          events.emit("cookie-not-sent", { reason: delivery });
          fresh.state.content = replacement.content;
          const ended = previous === undefined ? undefined : committer.access.delete(previous);
          return after(ended, finish);
        }
        const done = after(replacement.run(), finish);
        return isPromise(done) ? done.catch(abort) : done;
      } catch (error) {
        return abort(error);
      }
    });
  }

  #moveTo({ session, state }: { session: LiveSession; state: SessionState }): void {
    this.#session = session;
    this.#state = state;
  }

  #blank(owner?: Owner): { session: LiveSession; state: SessionState } {
    const { clock } = this.#env;
    const now = clock.now();
    const { userId = null, createdAt = now } = owner ?? {};
    const record = { payload: "", version: 0, secretHash: "", userId, createdAt, touchedAt: now, expiresAt: 0 };
    return this.#make({
      standing: "blank",
      record,
      content: this.#stamped(EMPTY),
    });
  }

  /** With the transport noted, where that isn't a cookie. */
  #stamped(content: Content): Content {
    const { via } = this.#client;
    return via === undefined ? content : { ...content, facts: { ...content.facts, via } };
  }

  #open(opened: OpenedSession): { session: LiveSession; state: SessionState } {
    return this.#make({ standing: "stored", ...opened });
  }

  #make(begin: StateBegin): { session: LiveSession; state: SessionState } {
    return createSession((values) => new SessionState(values, begin, this.#env.tokens, this), this);
  }

  damaged({ handle }: SessionState): void {
    this.#env.events.emit("damaged-record", { handle });
  }

  #refuseIfUnusable(state: SessionState): void {
    refuseIfRetired(state);
    refuseWithinUpdate(this);
    if (this.detached !== undefined) throw this.detached;
  }
}
