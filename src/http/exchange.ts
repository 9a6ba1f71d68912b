import type { IncomingMessage, ServerResponse } from "node:http";
import { after, isPromise } from "../contract/awaitable.ts";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import type { Opening, SessionKeeper } from "../session/keeper.ts";
import type { DeviceInfo } from "../session/record.ts";
import type { Running } from "../session/running.ts";
import type { LiveSession } from "../session/session.ts";
import type { Client, OpenedSession, StoredState, Visit } from "../session/visit.ts";
import { forbidCaching, forbidSharedCaching, isPublic } from "./cache-control.ts";
import type { Channel } from "./channel.ts";
import { deviceOf } from "./device.ts";
import { type ErrorHandler, failAfterNext, routerOf } from "./failed-answer.ts";
import { onHandshake, upgradeWatch } from "./held-response/handshake.ts";
import { type HoldHooks, holdResponse } from "./held-response.ts";
import { type Accept, clearLegacy, type LegacyReader, type LegacySession, takeOver } from "./legacy.ts";
import { isPlain, isSessionDeleted, type SessionHolder } from "./request-session.ts";

export type Next = (error?: unknown) => void;

/** What all exchanges of one middleware share. */
export interface ExchangeEnvironment {
  readonly manager: SessionKeeper;
  /** What the application gave as its store. */
  readonly store: object;
  readonly onStoreError: "error" | "anonymous";
  /** Finds a session of another library's, for a client that has none of ours. */
  readonly accept?: Accept | undefined;
  /** Answers requests whose session could not be saved. Default: Express's or Connect's error handler, else a bare answer. */
  readonly onError?: ErrorHandler | undefined;
}

/**
 * One request and its response, as far as their session is concerned. Until the application reads `req.session` nothing is decoded and
 * nothing added to the response.
 */
export class Exchange implements HoldHooks, Client, Running, SessionHolder {
  readonly #env: ExchangeEnvironment;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #next: Next;
  readonly #router: unknown;
  /** All the ways that this application has, never none. */
  readonly #channels: readonly Channel[];
  /** Those by which the client sent something. */
  readonly #carriers: readonly Channel[];
  #channel: Channel;
  #texts: readonly string[];
  #opened: OpenedSession | undefined = undefined;
  readonly #answering: Channel;
  readonly #isHeld: boolean;
  #isOutdated = false;
  /** Reads the session that ours takes over from. */
  #reader: LegacyReader | undefined = undefined;
  #legacy: LegacySession | undefined = undefined;
  /** Whether the client is going to be told of that. */
  #isMoved = false;
  #isOpen = false;
  #visit: Visit | undefined = undefined;
  /** The application has looked at its session. */
  #isRead = false;
  /** `null` or `undefined`, when the application has assigned that to `req.session`. */
  #ended: { as: null | undefined } | undefined = undefined;
  /** Why the session could not be opened. */
  #failure: SojournError | undefined = undefined;
  /** A commit failed, or the session could not be opened: the error handler's answer says nothing of a session. */
  #broken = false;
  /** The last commit before the headers has begun, or they have left: nothing that begins now can have its token sent. */
  #isSealed = false;
  /** Whether the connection has been given to another protocol, whatever the response says. */
  readonly #isUpgraded: (() => boolean) | undefined;

  /** @param answering one of the channels: for a client that sent no token */
  constructor(
    env: ExchangeEnvironment,
    { req, res, isHeld, next }: { req: IncomingMessage; res: ServerResponse; isHeld: boolean; next: Next },
    channels: readonly Channel[],
    answering: Channel,
  ) {
    this.#env = env;
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#router = routerOf(req);
    this.#channels = channels;
    this.#carriers = channels.length === 1 ? channels : channels.filter((channel) => channel.read(req).length > 0);
    this.#channel = this.#carriers[0] ?? answering;
    this.#texts = this.#channel.read(req);
    this.#answering = answering;
    this.#isUpgraded = upgradeWatch(req);
    // Called with something that is no response (an upgrade, a job), the session opens, and save() commits it. A new token could reach nobody.
    this.#isHeld = isHeld;
    if (isHeld) holdResponse(res, this);
    else if (!onHandshake(res, () => this.#shakeHands())) this.#isSealed = true;
  }

  get isUnused(): boolean {
    return this.#visit === undefined && !isSessionDeleted(this.#req);
  }

  /** The name of a cookie or header that both this exchange and another one's channels would use. */
  clashesWith(channels: readonly Channel[]): string | undefined {
    return channels.find(({ name }) => this.#channels.some((channel) => channel.name === name))?.name;
  }

  /** Whether this exchange is of the same sessions: of one `session()`, or of two that share a store. */
  isOf({ store }: ExchangeEnvironment): boolean {
    return store === this.#env.store;
  }

  /**
   * Looks at the token before the handlers run. A store that answers at once is asked only if the session's last use may be due to
   * be written down; else when the session is first read. Any other store is asked now, because `req.session` can't wait.
   */
  begin(): void {
    if (this.#texts.length === 0) {
      if (this.#env.accept !== undefined) return this.#accept(this.#env.accept);
      this.#isOpen = true;
      this.#next();
      return;
    }
    const { manager } = this.#env;
    if (this.#isHeld) manager.running?.add(this);
    if (manager.opensAtOnce) {
      if (!this.#isQuiet()) this.#openQuietly();
      if (this.#failure === undefined) this.#next();
      return;
    }
    let opening: Awaitable<void>;
    try {
      opening = this.#open();
    } catch (error) {
      this.#loadFailed(error);
      return;
    }
    if (!isPromise(opening)) {
      this.#next();
      return;
    }
    opening.then(
      () => this.#next(),
      (error: unknown) => this.#loadFailed(error),
    );
  }

  /** `req.session` */
  get session(): LiveSession | null | undefined {
    return this.#ended === undefined ? this.liveSession : this.#ended.as;
  }

  get liveSession(): LiveSession {
    this.#isRead = true;
    return (this.#visit ?? this.#start()).session;
  }

  /** `req.session = value`: a plain object takes the place of the data, and `null` ends the session, as in cookie-session. */
  assign(value: unknown): void {
    const session = this.liveSession;
    if (value === session) return;
    if (value === null || value === undefined) {
      this.#ended = { as: value };
      session.destroy();
      return;
    }
    if (!isPlain(value)) {
      throw new TypeError(
        "req.session can be set to a plain object, its new data, or to null, which ends it: for a new session use await req.session.regenerate()",
      );
    }
    this.#ended = undefined;
    const old = new Set(Object.keys(session));
    for (const [name, one] of Object.entries(value)) {
      Reflect.set(session, name, one);
      old.delete(name);
    }
    for (const name of old) Reflect.deleteProperty(session, name);
  }

  get via(): string | undefined {
    return this.#channel.via;
  }

  delivery(): "possible" | "insecure" | "headers-sent" {
    if (this.#isSealed || this.#broken || this.#isUpgraded?.() === true) return "headers-sent";
    return this.#channel.deliverable ? "possible" : "insecure";
  }

  device(): DeviceInfo {
    return deviceOf(this.#req);
  }

  get isOver(): boolean {
    if (this.#isSealed) return true;
    const { destroyed, stream }: { destroyed?: boolean; stream?: { destroyed?: boolean } } = this.#res;
    return destroyed === true || stream?.destroyed === true;
  }

  /** The request goes on, and its session with it. One that nobody has read is looked up for that, and again when it is read. */
  use(): void {
    const { manager } = this.#env;
    const note = (session: StoredState | undefined): void => {
      if (session !== undefined) manager.use?.(session);
    };
    if (this.#visit !== undefined) note(this.#visit.stored);
    else if (this.#isOpen) note(this.#opened);
    else quietly(() => after(manager.openFirst(this.#texts, this.#channel), (found) => note(found?.opened)));
  }

  beforeHeaders(): void | Promise<void> {
    if (!this.#broken && isSessionDeleted(this.#req)) {
      this.#isSealed = true;
      throw new TypeError("req.session was deleted, which ends nothing: await req.session.destroy(), or logout()");
    }
    // A file for everyone must not carry one visitor's renewed cookie.
    if (!this.#isRead && this.#visit !== undefined && isPublic(this.#res)) this.#visit = undefined;
    const visit = this.#broken ? undefined : this.#visit;
    // An error handler's answer to a session call that failed: to try the same again would make it fail, too.
    this.#broken ||= (visit?.hasFailed === true || this.#isUnavailable) && this.#res.statusCode >= 500;
    const pending = this.#broken ? quietly(() => visit?.giveUp()) : visit?.commit();
    const isEnded = visit?.token === "clear";
    this.#isMoved = this.#legacy !== undefined && (isEnded || this.delivery() === "possible");
    this.#isSealed = true;
    const saved = this.#isMoved ? after(pending, () => this.#endLegacy(isEnded)) : pending;
    // What the handler did, it did for a visitor without a session.
    return this.#isUnavailable && !this.#broken && visit !== undefined ? after(saved, () => this.#refuse()) : saved;
  }

  /** Ends the other library's session, once the new one is stored. A failure matters only to a logout: otherwise the old session expires. */
  async #endLegacy(isLogout: boolean): Promise<void> {
    try {
      await this.#legacy?.end();
    } catch (error) {
      if (isLogout) throw asError(error);
    }
  }

  /** Whether the session could not be opened, and no answer may pass for one with the session. */
  get #isUnavailable(): boolean {
    return this.#failure !== undefined && this.#env.onStoreError === "error";
  }

  #refuse(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  writeHeaders(): void {
    const visit = this.#visit;
    if (visit === undefined) return;
    const res = this.#res;
    const isForgotten = this.#isMoved && !this.#broken;
    if (this.#reader !== undefined && (isForgotten || visit.token === "clear")) clearLegacy(res, this.#reader);
    for (const channel of this.#channels) channel.vary(res);
    if (visit.clearSiteData) res.setHeader("Clear-Site-Data", '"cache", "cookies", "storage"');
    const answer = this.#answer(visit);
    if (answer === "keep") {
      if (this.#isRead) forbidSharedCaching(res);
      return;
    }
    forbidCaching(res);
    if (answer === "clear") {
      this.#channel.clear(res);
      return;
    }
    const token = this.#env.manager.tokenOf(visit, this.#channel);
    this.#channel.send(res, token, { now: this.#env.manager.clock.now(), expires: visit.until });
  }

  beforeEnd(): void | Promise<void> {
    return this.#broken ? undefined : this.#visit?.commit();
  }

  failed(error: unknown): void {
    this.#broken = true;
    if (!this.#res.headersSent) this.#visit?.takeBack();
    const { onError } = this.#env;
    if (onError !== undefined) onError(error, this.#req, this.#res);
    else failAfterNext(error, { req: this.#req, res: this.#res, next: this.#next, router: this.#router });
  }

  /**
   * A WebSocket's handshake leaves, and does not wait: where the store answers at once its session is stored now, else only a session that
   * `save()` or `login()` stored before has a token to bring.
   */
  #shakeHands(): void | Promise<void> {
    if (!this.#env.manager.opensAtOnce) this.#isSealed = true;
    const pending = this.beforeHeaders();
    this.writeHeaders();
    return pending;
  }

  /** What to tell the client of its token. A response that could not save says nothing, except that a logout was asked for. */
  #answer(visit: Visit): "keep" | "send" | "clear" {
    if (visit.token === "clear") return this.#texts.length > 0 ? "clear" : "keep";
    if (this.#broken) return "keep";
    // The application's newest key takes over.
    if (this.#isOutdated && visit.isStored && this.#channel.deliverable) return "send";
    return visit.token;
  }

  #accept(accept: Accept): void {
    this.#isOpen = true;
    let moving: Awaitable<void>;
    try {
      this.#reader = accept(this.#req);
      moving = after(this.#reader?.read(this.#req), (legacy) => {
        if (legacy !== undefined) return this.#move(legacy);
      });
    } catch (error) {
      this.#loadFailed(asError(error));
      return;
    }
    if (!isPromise(moving)) {
      this.#next();
      return;
    }
    moving.then(
      () => this.#next(),
      (error: unknown) => this.#loadFailed(asError(error)),
    );
  }

  /** Begins a session of ours with the data of another library's. */
  #move(legacy: LegacySession): Awaitable<void> {
    // The old one stays until a page brings the token of the new one.
    if (this.delivery() === "headers-sent") return undefined;
    const session = this.liveSession;
    takeOver(session, legacy);
    this.#legacy = legacy;
    return legacy.userId === undefined ? undefined : session.login(legacy.userId);
  }

  #start(): Visit {
    if (!this.#isOpen && this.#failure === undefined) {
      try {
        const opening = this.#open();
        if (isPromise(opening)) {
          opening.catch(() => undefined);
          throw new SojournError(
            "STORE_UNAVAILABLE",
            "the store says synchronousLoad, but its load returned a promise",
          );
        }
      } catch (error) {
        // Not thrown: nobody may be there to catch it. The answer is refused instead.
        this.#failure = asError(error);
      }
    }
    if (this.#visit !== undefined) return this.#visit;
    const visit = this.#env.manager.visit(this, this.#opened, this.#channel);
    visit.detached = this.#failure;
    visit.isLate =
      this.#opened === undefined && this.#texts.length > 0 && this.#env.manager.wasReplaced(this.#texts, this.#channel);
    this.#visit = visit;
    this.#isSealed ||= this.#res?.headersSent === true;
    return visit;
  }

  #open(): Awaitable<void> {
    if (this.#carriers.length > 1) return this.#openOnly(0, undefined);
    const found = this.#env.manager.openFirst(this.#texts, this.#channel);
    if (isPromise(found)) return found.then((result) => this.#opens(result));
    this.#opens(found);
  }

  /** Tries each way. Sessions that came by two of them can't be told apart by anyone's wish (ASVS 3.5.1). */
  #openOnly(position: number, found: Opening | undefined): Awaitable<void> {
    const carrier = this.#carriers[position];
    if (carrier === undefined) {
      if (found === undefined) this.#channel = this.#answering;
      return this.#opens(found);
    }
    const texts = carrier.read(this.#req);
    return after(this.#env.manager.openFirst(texts, carrier), (opening) => {
      if (opening === undefined) return this.#openOnly(position + 1, found);
      if (found !== undefined) {
        throw new SojournError("MIXED_TOKENS", "the request brought the tokens of two sessions: send one of them");
      }
      this.#channel = carrier;
      this.#texts = texts;
      return this.#openOnly(position + 1, opening);
    });
  }

  #opens(result: Opening | undefined): void {
    this.#isOpen = true;
    this.#opened = result?.opened;
    this.#isOutdated = result?.outdated === true;
    // The response has to bring a new token, even if nobody reads the session.
    if (result?.renew === true && this.#channel.deliverable) this.#start();
  }

  #openQuietly(): void {
    try {
      this.#open();
    } catch (error) {
      if (isMixed(error)) this.#loadFailed(error);
      // Perhaps nobody reads this session. Who does, asks again and is told.
    }
  }

  /** Whether there is nothing to write down for this token unless its session is read. */
  #isQuiet(): boolean {
    return (
      this.#carriers.length === 1 &&
      this.#texts.length === 1 &&
      this.#env.manager.isQuiet(this.#texts[0] ?? "", this.#channel)
    );
  }

  #loadFailed(error: unknown): void {
    this.#failure = asError(error);
    if (!isMixed(error)) {
      this.#next();
      return;
    }
    this.#broken = true;
    this.#next(error);
  }
}

function isMixed(error: unknown): boolean {
  return error instanceof SojournError && error.code === "MIXED_TOKENS";
}

function quietly(work: () => Awaitable<void>): Awaitable<void> {
  try {
    const pending = work();
    return isPromise(pending) ? pending.catch(() => undefined) : pending;
  } catch {
    return undefined;
  }
}

function asError(error: unknown): SojournError {
  return error instanceof SojournError
    ? error
    : new SojournError("STORE_UNAVAILABLE", "the session could not be opened", error);
}
