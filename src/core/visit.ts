import type { Awaitable, SessionRecord } from "../stores/store.ts";
import type { TokenSource } from "../tokens/token.ts";
import { after, isPromise } from "./awaitable.ts";
import type { Content } from "./changes.ts";
import type { Clock } from "./clock.ts";
import {
  type Committer,
  type CommitListener,
  conflictError,
  type Delivery,
  EMPTY,
  goneError,
  type Outcome,
  undeliverableError,
} from "./committer.ts";
import type { SojournError } from "./errors.ts";
import type { Events } from "./events.ts";
import { type DeviceInfo, decodePayload } from "./record.ts";
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
import { SessionState } from "./state.ts";
import { type Duration, expiryOf, parseDuration, type Timeouts } from "./timeouts.ts";

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
  delivery(): Delivery;
  device(): DeviceInfo;
}

/** A session as the store had it, its token checked. */
export interface OpenedSession {
  handle: string;
  secret: string;
  record: SessionRecord;
  content: Content;
}

interface Owner {
  userId: string | null;
  createdAt: number;
}

/** How often `update` runs its function again before it gives up with CONFLICT. */
const UPDATES = 50;

/**
 * One request's stay: its session, what its methods do, and what its client must be told at the end. Operations of one visit run
 * one after the other; each leaves the store either as it was or done.
 */
export class Visit implements SessionOperations, CommitListener {
  /** What the response has to tell the client about its token. */
  token: "keep" | "send" | "clear" = "keep";
  clearSiteData = false;
  /** Set when the store could not be asked and the application chose to go on: nothing of this visit is saved. */
  detached: SojournError | undefined = undefined;

  readonly #env: VisitEnvironment;
  readonly #client: Client;
  #session: LiveSession;
  #state: SessionState;
  /** Destroyed, but the store has not confirmed it. */
  readonly #unconfirmed: SessionState[] = [];
  #busy: Promise<unknown> | undefined = undefined;
  /** How many functions given to `update` are running. */
  #changing = 0;

  constructor(env: VisitEnvironment, client: Client, opened?: OpenedSession) {
    this.#env = env;
    this.#client = client;
    const made = opened === undefined ? this.#blank() : this.#open(opened);
    this.#session = made.session;
    this.#state = made.state;
  }

  /** `req.session`: after `regenerate` and `destroy` another object than before. */
  get session(): LiveSession {
    return this.#session;
  }

  /** The secret of the current session, for the token that travels. */
  get secret(): string {
    return this.#state.secret;
  }

  /** Until when the cookie should outlive the browser; `undefined`: it ends with it. */
  get until(): number | undefined {
    return this.#state.until;
  }

  /** Whether the current session is in the store. */
  get isStored(): boolean {
    return this.#state.standing === "stored";
  }

  /** Writes down what this request did: before the response leaves, and once more at the end of a stream. Plain when there was nothing to wait for. */
  commit(): Awaitable<void> {
    if (this.detached !== undefined) return undefined;
    return this.#inTurn(() =>
      after(this.#confirmEndings(), () => after(this.#commit(this.#state), () => undefined)),
    );
  }

  save(state: SessionState): Awaitable<void> {
    this.#refuseIfUnusable(state);
    return this.#inTurn(() => after(this.#commit(state), (outcome) => this.#require(outcome)));
  }

  reload(state: SessionState): Awaitable<void> {
    this.#refuseIfUnusable(state);
    return this.#inTurn(() => {
      if (state.standing === "blank") {
        state.reset(state.record, EMPTY);
        return undefined;
      }
      return after(this.#env.committer.access.load(state.handle), (record) => {
        const content = record === undefined ? undefined : decodePayload(record.payload);
        if (record === undefined || content === undefined) {
          this.#env.committer.gone(state, this);
          throw goneError();
        }
        state.reset(record, content);
      });
    });
  }

  regenerate(state: SessionState, { keep = false }: RegenerateOptions): Awaitable<void> {
    const kept = keepOption(keep, "regenerate");
    const { userId, createdAt } = state.record;
    const owner = kept === true ? { userId, createdAt } : { userId: null, createdAt: this.#env.clock.now() };
    return this.#replace(state, "regenerate", owner, (content) => carry(content, kept));
  }

  login(state: SessionState, userId: string, options: LoginOptions): Awaitable<void> {
    if (typeof userId !== "string" || userId === "") {
      throw new TypeError("login(userId): userId must be a non-empty string; use String(user.id) for a number");
    }
    const { remember = false, device } = options;
    const now = this.#env.clock.now();
    const until = remember === false ? undefined : now + parseDuration(remember, "remember");
    // Another user's cart is not carried into this user's session unless the application asks for it.
    const another = state.record.userId !== null && state.record.userId !== userId;
    const kept = keepOption(options.keep ?? !another, "login");
    const shown = { ...this.#client.device(), ...(typeof device === "string" ? { label: device } : device) };
    return this.#replace(state, "login", { userId, createdAt: now }, (content) => {
      const { texts, facts } = carry(content, kept);
      const { flash } = facts;
      return {
        texts,
        facts: { device: shown, ...(flash !== undefined && { flash }), ...(until !== undefined && { until }) },
      };
    });
  }

  logout(state: SessionState, { everywhere = false, clearSiteData = false }: LogoutOptions): Awaitable<void> {
    if (clearSiteData) this.clearSiteData = true;
    const { userId } = state.record;
    const ended = this.destroy(state);
    if (!everywhere || userId === null) return ended;
    return after(ended, () => after(this.#env.endAll(userId), () => undefined));
  }

  destroy(state: SessionState): Awaitable<void> {
    refuseIfRetired(state);
    state.retired = "this session was destroyed in this request; req.session is a new one";
    if (this.#state === state) this.#moveTo(this.#blank());
    this.token = "clear";
    if (this.detached !== undefined) throw this.detached;
    // In turn even if it was not stored until now: a save of it may be on its way.
    return this.#inTurn(() => {
      if (state.standing === "stored") {
        state.standing = "ending";
        this.#unconfirmed.push(state);
      }
      return this.#confirmEndings();
    });
  }

  touch(state: SessionState): Awaitable<void> {
    this.#refuseIfUnusable(state);
    return this.#inTurn(() => {
      if (state.standing !== "stored") return undefined;
      return after(this.#env.committer.touch(state, this), (there) => {
        if (!there) throw goneError();
      });
    });
  }

  update<T>(state: SessionState, change: () => Awaitable<T>): Awaitable<T> {
    this.#refuseIfUnusable(state);
    const before = state.collect();
    const attempt = (): Awaitable<{ outcome: Outcome; result: T }> =>
      after(this.#change(change), (result) =>
        after(
          this.#inTurn(() => this.#commit(state, { once: true })),
          (outcome) => ({ outcome, result }),
        ),
      );
    const finish = ({ outcome, result }: { outcome: Outcome; result: T }): T => {
      if (outcome === "conflict") throw conflictError();
      this.#require(outcome);
      return result;
    };
    const { committer } = this.#env;
    const retry = (tries: number): Awaitable<T> =>
      committer.again(state, tries, () =>
        after(this.reload(state), () => {
          if (before !== undefined) state.apply(before);
          return after(attempt(), (done) =>
            done.outcome === "conflict" && tries < UPDATES ? retry(tries + 1) : finish(done),
          );
        }),
      );
    return after(attempt(), (done) => {
      if (done.outcome !== "conflict") return finish(done);
      return this.#changing > 0 ? retry(1) : committer.inTurn(state, () => retry(1));
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
    // Where this process replaced the session itself, the client has, or will have, the new token: not to be cleared.
    if (this.#state === state && !this.#env.superseded.has(state.handle)) this.token = "clear";
  }

  #commit(state: SessionState, { once = false } = {}): Awaitable<Outcome> {
    // What `update` runs has its turn on this session already, and must not wait for it.
    return this.#env.committer.commit(state, this.#client.delivery(), this, { once, reentrant: this.#changing > 0 });
  }

  #require(outcome: Outcome): void {
    if (outcome === "gone") throw goneError();
    // Over an insecure channel the session lives for this request, and a warning tells; but these headers were sent for good.
    if (outcome === "refused" && this.#client.delivery() === "headers-sent") throw undeliverableError();
  }

  /** Runs the operations of this visit one after the other; at once, and without a promise, where none is under way. */
  #inTurn<T>(work: () => Awaitable<T>): Awaitable<T> {
    const answer = this.#busy === undefined ? work() : this.#busy.then(work);
    if (!isPromise(answer)) return answer;
    const settled: Promise<unknown> = answer
      .catch(() => undefined)
      .then(() => {
        if (this.#busy === settled) this.#busy = undefined;
      });
    this.#busy = settled;
    return answer;
  }

  /** Runs the application's function, and knows that it runs. */
  #change<T>(change: () => Awaitable<T>): Awaitable<T> {
    this.#changing += 1;
    const done = (): void => {
      this.#changing -= 1;
    };
    try {
      const result = change();
      if (isPromise(result)) return result.finally(done);
      done();
      return result;
    } catch (error) {
      done();
      throw error;
    }
  }

  /** Tells the store of destroyed sessions, and again at the end of the request if it did not confirm. */
  #confirmEndings(): Awaitable<void> {
    const state = this.#unconfirmed[0];
    if (state === undefined) return undefined;
    return after(this.#env.committer.access.delete(state.handle), () => {
      this.#unconfirmed.shift();
      state.standing = "ended";
      this.#env.events.emit("destroy", { handle: state.handle, userId: state.record.userId });
      return this.#confirmEndings();
    });
  }

  #replace(
    old: SessionState,
    operation: "login" | "regenerate",
    owner: Owner,
    carried: (content: Content) => Content,
  ): Awaitable<void> {
    this.#refuseIfUnusable(old);
    const delivery = this.#client.delivery();
    if (delivery === "headers-sent") throw undeliverableError();
    const { committer, events } = this.#env;
    return this.#inTurn(() => {
      const fresh = this.#blank(owner);
      const replacement = new Replacement(committer, this, {
        old,
        fresh: fresh.state,
        carried,
        mayBeginAnew: operation === "login",
      });
      old.retired = `this session was replaced by ${operation}() in this request; write to req.session, the new one`;
      const finish = (): void => this.#replaced(old, fresh, operation);
      if (delivery === "insecure") {
        // Nobody could ever hold its token: it lives for this request only.
        events.emit("cookie-not-sent", { reason: delivery });
        fresh.state.content = replacement.content;
        finish();
        return undefined;
      }
      const abort = (error: unknown): never => {
        old.retired = undefined;
        throw error;
      };
      try {
        const done = after(replacement.run(), finish);
        return isPromise(done) ? done.catch(abort) : done;
      } catch (error) {
        return abort(error);
      }
    });
  }

  #replaced(
    old: SessionState,
    fresh: { session: LiveSession; state: SessionState },
    operation: "login" | "regenerate",
  ): void {
    const { superseded, events } = this.#env;
    const previous = old.standing === "stored" ? old.handle : undefined;
    if (previous !== undefined) superseded.add(previous);
    old.standing = "ended";
    if (this.#state === old) this.#moveTo(fresh);
    if (fresh.state.standing === "stored") this.token = "send";
    else if (previous !== undefined) this.token = "clear";
    const { handle, record } = fresh.state;
    if (operation === "login") events.emit("login", { handle, userId: record.userId ?? "", previous });
    else if (previous !== undefined) events.emit("regenerate", { handle, previous });
  }

  #moveTo({ session, state }: { session: LiveSession; state: SessionState }): void {
    this.#session = session;
    this.#state = state;
  }

  #blank(owner?: Owner): { session: LiveSession; state: SessionState } {
    const { tokens, clock } = this.#env;
    const now = clock.now();
    const { userId = null, createdAt = now } = owner ?? {};
    const record = { payload: "", version: 0, secretHash: "", userId, createdAt, touchedAt: now, expiresAt: 0 };
    return this.#make({
      standing: "blank",
      handle: tokens.handle(),
      secret: tokens.secret(),
      record,
      content: EMPTY,
    });
  }

  #open(opened: OpenedSession): { session: LiveSession; state: SessionState } {
    return this.#make({ standing: "stored", ...opened });
  }

  #make(begin: ConstructorParameters<typeof SessionState>[1]): { session: LiveSession; state: SessionState } {
    return createSession((values) => new SessionState(values, begin, this.#onDamage), this);
  }

  readonly #onDamage = (state: SessionState): void => {
    this.#env.events.emit("damaged-record", { handle: state.handle });
  };

  #refuseIfUnusable(state: SessionState): void {
    refuseIfRetired(state);
    if (this.detached !== undefined) throw this.detached;
  }
}

/**
 * Handles that this process replaced by new ones, the last thousand. A late request with the old token must not have the client's
 * new cookie cleared.
 */
export class Superseded {
  readonly #handles = new Set<string>();

  add(handle: string): void {
    this.#handles.add(handle);
    if (this.#handles.size <= 1_000) return;
    for (const oldest of this.#handles) {
      this.#handles.delete(oldest);
      break;
    }
  }

  has(handle: string): boolean {
    return this.#handles.has(handle);
  }
}

function keepOption(keep: unknown, method: string): boolean | ReadonlySet<string> {
  if (typeof keep === "boolean") return keep;
  if (Array.isArray(keep) && keep.every((name) => typeof name === "string")) return new Set<string>(keep);
  throw new TypeError(`${method}({ keep }): keep must be true, false or a list of property names`);
}

function carry(content: Content, keep: boolean | ReadonlySet<string>): Content {
  if (keep === true) return content;
  if (keep === false) return EMPTY;
  const { flash } = content.facts;
  return {
    facts: flash === undefined ? {} : { flash },
    texts: new Map([...content.texts].filter(([name]) => keep.has(name))),
  };
}
