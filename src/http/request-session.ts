import type { IncomingMessage, ServerResponse } from "node:http";
import type { Awaitable } from "../contract/store.ts";
import { after, isPromise, recover } from "../contract/time.ts";
import type { SessionBackend } from "../session/backend.ts";
import type { RequestFacts, SessionContext } from "../session/context.ts";
import type { CookieAction, Delivery } from "../session/outcome.ts";
import type { Running } from "../session/running.ts";
import { sessionOf } from "../session/session.ts";
import type { Session } from "../session/session-interface.ts";
import { assignData, requirePlain } from "./assign-session.ts";
import type { TokenCarrier } from "./carrier.ts";
import { failAfterNext } from "./failed-answer.ts";
import { onHandshake, upgradeWatch } from "./held-response/handshake.ts";
import type { HoldHooks } from "./held-response/hooks.ts";
import { holdResponse } from "./held-response.ts";
import { IncomingToken } from "./incoming-token.ts";
import { type Accept, LegacyMove } from "./legacy.ts";
import type { Next, Passing, RequestParts } from "./request-parts.ts";
import { forbidCaching, forbidSharedCaching, isPublic } from "./response-headers.ts";

/** `committed`: the last commit before the headers has begun. `failed`: that commit failed. */
type Phase = "open" | "committed" | "failed";

/**
 * The way of a request, from top to bottom: it begins with a token; handlers read `req.session`;
 * what they changed is committed before the response leaves; the response gets the session's
 * headers. Until a handler reads `req.session`, nothing is decoded, and nothing is added to the
 * response.
 */
export class RequestSession implements HoldHooks, RequestFacts, Running {
  readonly isHeld: boolean;
  readonly countsAsUse: boolean;
  readonly request: IncomingMessage;
  readonly #parts: RequestParts;
  readonly #res: ServerResponse;
  readonly #next: Next;
  /** The `next` of Express's router. */
  readonly #router: unknown;
  /** All carriers of this application; never none. */
  readonly #carriers: readonly TokenCarrier[];
  readonly #token: IncomingToken;
  #phase: Phase = "open";
  #context: SessionContext | undefined = undefined;
  /** Whether a handler has read the session. */
  #isRead = false;
  /** What the application has assigned to `req.session` to end it. */
  #ended: { as: null | undefined } | undefined = undefined;
  #legacy: LegacyMove | undefined = undefined;
  /** Whether the connection has been given to another protocol, whatever the response says. */
  readonly #isUpgraded: (() => boolean) | undefined;

  /** @param answering the carrier that takes a new token to a client without one */
  constructor(
    parts: RequestParts,
    { req, res, isHeld, counts, next }: Passing,
    carriers: readonly TokenCarrier[],
    answering: TokenCarrier,
  ) {
    this.#parts = parts;
    this.request = req;
    this.#res = res;
    this.#next = next;
    this.#router = req.next;
    this.#carriers = carriers;
    this.#token = new IncomingToken(parts, req, carriers, answering, counts);
    this.countsAsUse = counts;
    this.#isUpgraded = req.headers?.upgrade === undefined ? undefined : upgradeWatch(req);
    // Without a response (an upgrade, a job) the session opens, and save() commits it. A new token
    // could reach no one.
    this.isHeld = isHeld;
    if (isHeld) holdResponse(res, this);
    else if (!onHandshake(res, () => this.#shakeHands())) this.#phase = "committed";
  }

  /**
   * Opens the session before the handlers run, because `req.session` can't wait. A synchronous store
   * is queried now only if the session's last use may have to be stored, else at the first read.
   */
  begin(): void {
    const opening = this.#lookUp();
    if (isPromise(opening)) opening.then(() => this.#proceed());
    else this.#proceed();
  }

  /** `req.session`: another object after `regenerate` without `keep`, `logout` and `destroy`. */
  get session(): Session | null | undefined {
    return this.#ended === undefined ? this.liveSession : this.#ended.as;
  }

  get liveSession(): Session {
    this.#isRead = true;
    return sessionOf(this.#context ?? this.#start());
  }

  /** `req.session = value`: a plain object replaces the data, and `null` ends the session. */
  assign(value: unknown): void {
    const session = this.liveSession;
    if (value === session) return;
    if (value === null || value === undefined) {
      this.#ended = { as: value };
      session.destroy();
      return;
    }
    requirePlain(value);
    this.#ended = undefined;
    assignData(session, value);
  }

  /** Whether the response passes as it is. */
  get isUnused(): boolean {
    return this.#context === undefined && !isSessionDeleted(this.request);
  }

  /** The response is about to begin: commits the session. Nothing leaves before that is done. */
  beforeHeaders(): void | Promise<void> {
    const isFailed = this.#phase === "failed";
    if (!isFailed && isSessionDeleted(this.request)) {
      this.#phase = "committed";
      throw new TypeError("req.session was deleted, which ends nothing: await req.session.destroy(), or logout()");
    }
    // A file for everyone must not carry one visitor's renewed cookie.
    if (!this.#isRead && this.#context !== undefined && isPublic(this.#res)) this.#context = undefined;
    if (isFailed) return undefined;
    const context = this.#context;
    // An error handler's response to a session call that failed: another try would fail, too.
    const isError = this.#res.statusCode >= 500 && (context?.queue.hasFailed === true || this.#mustRefuse);
    if (isError) this.#phase = "failed";
    const pending = isError ? recover(() => context?.giveUp(), ignore) : context?.commit();
    const isLogout = context?.cookie === "clear";
    const legacy = isLogout || this.delivery === "possible" ? this.#legacy : undefined;
    const saved = legacy?.session === undefined ? pending : after(pending, () => legacy.end(isLogout));
    if (isError) return saved;
    this.#phase = "committed";
    // What the handler did, it did for a visitor without a session.
    return this.#mustRefuse && context !== undefined ? after(saved, () => this.#refuse()) : saved;
  }

  /** The commit is done and the headers are about to leave: adds the session's. */
  writeHeaders(): void {
    const context = this.#context;
    if (context === undefined) return;
    const res = this.#res;
    const action = this.#cookieAction(context);
    if (context.cookie === "clear" || (this.#legacy?.isEnded === true && this.#phase !== "failed"))
      this.#legacy?.clear(res);
    for (const carrier of this.#carriers) carrier.vary(res);
    if (context.clearSiteData) res.setHeader("Clear-Site-Data", '"cache", "cookies", "storage"');
    if (action === "none") {
      if (this.#isRead) forbidSharedCaching(res);
      return;
    }
    forbidCaching(res);
    if (action === "clear") return this.#token.carrier.clear(res);
    const { backend } = this.#parts;
    const token = backend.tokenOf(context, this.#token.carrier);
    this.#token.carrier.send(res, token, { now: backend.clock.now(), expires: context.state.endsAt });
  }

  /** A streamed response ends: commits what changed since its headers left. */
  beforeEnd(): void | Promise<void> {
    return this.#phase === "failed" ? undefined : this.#context?.commit();
  }

  /** A commit failed: the error handler's response says nothing of a session. */
  failed(error: unknown): void {
    this.#phase = "failed";
    if (!this.#res.headersSent) this.#context?.rollBack();
    const { onError } = this.#parts;
    if (onError !== undefined) onError(error, this.request, this.#res);
    else failAfterNext(error, { req: this.request, res: this.#res, next: this.#next, router: this.#router });
  }

  get transport(): string | undefined {
    return this.#token.carrier.transport;
  }

  get delivery(): Delivery {
    if (this.#phase !== "open" || this.#isUpgraded?.() === true) return "headers-sent";
    return this.#token.carrier.deliverable ? "possible" : "insecure";
  }

  get isOver(): boolean {
    return this.#phase !== "open" || isDisconnected(this.#res);
  }

  /** The request takes long, and keeps its session alive. */
  use(): void {
    const { backend } = this.#parts;
    const use = (session: Parameters<SessionBackend["use"]>[0] | undefined): void => {
      if (session !== undefined) backend.use(session);
    };
    if (this.#context !== undefined) use(this.#context.stored);
    else if (this.#token.isOpened) use(this.#token.opening?.opened);
    else recover(() => after(this.#token.find(), (found) => use(found?.opened)), ignore);
  }

  /** Returns the name of a cookie or header that these carriers use, too. */
  clashesWith(carriers: readonly TokenCarrier[]): string | undefined {
    return carriers.find(({ name }) => this.#carriers.some((carrier) => carrier.name === name))?.name;
  }

  /** What all requests of this session's middleware share. */
  get parts(): RequestParts {
    return this.#parts;
  }

  /** What the response says about the token. After a failed commit it can only confirm a logout. */
  #cookieAction({ cookie, state }: SessionContext): CookieAction {
    if (cookie === "clear") return this.#token.isPresent ? "clear" : "none";
    if (this.#phase === "failed") return "none";
    // A new token, by the application's newest key.
    const isOutdated = this.#token.opening?.outdated === true && state.status === "stored";
    return isOutdated && this.countsAsUse && this.#token.carrier.deliverable ? "set" : cookie;
  }

  /** Whether no response may pass for one with the session, which could not be opened. */
  get #mustRefuse(): boolean {
    const { error } = this.#token;
    return error !== undefined && (this.#parts.onStoreError === "error" || error.code === "VALIDATION_FAILED");
  }

  #refuse(): void {
    if (this.#token.error !== undefined) throw this.#token.error;
  }

  /**
   * A WebSocket's handshake leaves without waiting. A synchronous store stores the session now; any
   * other one has a token to send only if `save()` or `login()` stored the session before.
   */
  #shakeHands(): void | Promise<void> {
    if (!this.#parts.backend.isSynchronous) this.#phase = "committed";
    const pending = this.beforeHeaders();
    this.writeHeaders();
    return pending;
  }

  #lookUp(): Awaitable<void> {
    const { backend, accept } = this.#parts;
    const token = this.#token;
    if (!token.isPresent) return accept === undefined ? undefined : this.#moveLegacy(accept);
    if (backend.isSynchronous && !token.mustOpen) return undefined;
    return backend.validation === undefined ? token.open() : token.openValid();
  }

  #proceed(): void {
    const token = this.#token;
    if (token.isAmbiguous) {
      this.#phase = "failed";
      this.#next(token.error);
      return;
    }
    if (token.isInvalidated) this.#start().cookie = "clear";
    // The response has to bring a new token, even if nothing reads the session.
    if (token.opening?.renew === true && token.carrier.deliverable) this.#start();
    this.#next();
    // Most requests are answered by now.
    if (this.isHeld && this.countsAsUse && token.isPresent && !this.isOver) this.#parts.backend.running?.add(this);
  }

  /** The session of this request, which nothing has read before. */
  #start(): SessionContext {
    const { backend } = this.#parts;
    const token = this.#token;
    // A read must not throw, because a handler may not catch it. The response is refused instead.
    if (!token.isOpened && (token.error === undefined || backend.isSynchronous)) token.open();
    const context = backend.context(this, token.opening?.opened, token.carrier);
    context.unavailable = token.error;
    context.late = token.rotated;
    this.#context = context;
    if (this.#phase === "open" && this.#res?.headersSent === true) this.#phase = "committed";
    return context;
  }

  /** Begins a session with the data of another library's. */
  #moveLegacy(accept: Accept): Awaitable<void> {
    // The old session stays until a response brings the token of the new one.
    const own = () => (this.delivery === "headers-sent" ? undefined : this.liveSession);
    const move = (): Awaitable<void> => {
      const reader = accept(this.request);
      if (reader === undefined) return undefined;
      this.#legacy = new LegacyMove(reader);
      return this.#legacy.begin(this.request, own);
    };
    return recover(move, (error) => this.#token.fail(error));
  }
}

/** Whether the application has taken `session` off the request. */
function isSessionDeleted(req: IncomingMessage): boolean {
  return !("session" in req);
}

/** Whether a response's client has disconnected. */
function isDisconnected({ destroyed, stream }: { destroyed?: boolean; stream?: { destroyed?: boolean } }): boolean {
  return destroyed === true || stream?.destroyed === true;
}

/** For failures that another call reports. */
function ignore(): void {}
