import type { IncomingMessage, ServerResponse } from "node:http";
import { after, isPromise } from "../contract/awaitable.ts";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { type CheckedToken, type Opening, openFirst, type SessionBackend } from "../session/backend.ts";
import type { CookieAction, Delivery } from "../session/commit.ts";
import type { RequestFacts, SessionContext } from "../session/context.ts";
import type { Events } from "../session/events.ts";
import type { Running } from "../session/running.ts";
import { type LiveSession, sessionOf } from "../session/session.ts";
import type { TokenCarrier } from "./carrier.ts";
import { type ErrorHandler, failAfterNext } from "./failed-answer.ts";
import { onHandshake, upgradeWatch } from "./held-response/handshake.ts";
import { type HoldHooks, holdResponse } from "./held-response.ts";
import { type Accept, LegacyMove } from "./legacy.ts";
import { isPlain, isSessionDeleted } from "./request-properties.ts";
import { forbidCaching, forbidSharedCaching, isPublic } from "./response-headers.ts";

export type Next = (error?: unknown) => void;

/** What all requests of one middleware share. */
export interface RequestParts {
  readonly backend: SessionBackend;
  readonly events: Events;
  /** The application's `store` option. */
  readonly store: object;
  readonly onStoreError: "error" | "anonymous";
  /** Finds a session of another library, for a client that has none of ours. */
  readonly accept?: Accept | undefined;
  /** Responds to requests whose session could not be saved. Default: Express's or Connect's error handler, else a bare response. */
  readonly onError?: ErrorHandler | undefined;
}

/** Where a request stands: it has a response to come; its last commit before the headers has begun; or that commit failed. */
type Phase = "open" | "committed" | "failed";

/** What is known of the session that the request's token opens. */
type Lookup =
  | { readonly is: "pending" }
  | { readonly is: "done"; readonly opening: Opening | undefined }
  | { readonly is: "failed"; readonly error: SojournError };

const PENDING: Lookup = { is: "pending" };
const NONE: Lookup = { is: "done", opening: undefined };

/**
 * The way of a request, from top to bottom: it begins with a token; handlers read `req.session`; what they changed is committed before
 * the response leaves; the response gets the session's headers. Until a handler reads `req.session`, nothing is decoded, and nothing is
 * added to the response.
 */
export class RequestSession implements HoldHooks, RequestFacts, Running {
  readonly isHeld: boolean;
  readonly request: IncomingMessage;
  readonly #parts: RequestParts;
  readonly #res: ServerResponse;
  readonly #next: Next;
  /** The `next` of Express's router. */
  readonly #router: unknown;
  /** All carriers of this application; never none. */
  readonly #carriers: readonly TokenCarrier[];
  /** Those in which the client sent something. */
  readonly #bringing: readonly TokenCarrier[];
  /** The one that takes a new token to a client without one. */
  readonly #answering: TokenCarrier;
  /** The one that this session's token travels in. */
  #carrier: TokenCarrier;
  #texts: readonly string[];
  #tokens: readonly CheckedToken[];
  #lookup: Lookup = PENDING;
  #phase: Phase = "open";
  #context: SessionContext | undefined = undefined;
  /** Whether a handler has read the session. */
  #isRead = false;
  /** What the application has assigned to `req.session` to end it. */
  #ended: { as: null | undefined } | undefined = undefined;
  #legacy: LegacyMove | undefined = undefined;
  /** Whether the connection has been given to another protocol, whatever the response says. */
  readonly #isUpgraded: (() => boolean) | undefined;

  constructor(
    parts: RequestParts,
    {
      req,
      res,
      isHeld,
      next,
    }: { req: IncomingMessage & { next?: unknown }; res: ServerResponse; isHeld: boolean; next: Next },
    carriers: readonly TokenCarrier[],
    answering: TokenCarrier,
  ) {
    this.#parts = parts;
    this.request = req;
    this.#res = res;
    this.#next = next;
    this.#router = req.next;
    this.#carriers = carriers;
    this.#bringing = carriers.length === 1 ? carriers : carriers.filter((carrier) => carrier.read(req).length > 0);
    this.#answering = answering;
    this.#carrier = this.#bringing[0] ?? answering;
    this.#texts = this.#carrier.read(req);
    this.#tokens = this.#verify(this.#texts, this.#carrier);
    this.#isUpgraded = req.headers?.upgrade === undefined ? undefined : upgradeWatch(req);
    // Without a response (an upgrade, a job) the session opens, and save() commits it. A new token could reach no one.
    this.isHeld = isHeld;
    if (isHeld) holdResponse(res, this);
    else if (!onHandshake(res, () => this.#shakeHands())) this.#phase = "committed";
  }

  /**
   * Begins with the token, before the handlers run. A synchronous store is asked when the session is first read, or now if its last use
   * may have to be stored. Any other store is asked now, because `req.session` can't wait.
   */
  begin(): void {
    const { backend, accept } = this.#parts;
    if (this.#texts.length === 0) {
      this.#lookup = NONE;
      if (accept === undefined) this.#next();
      else this.#proceedAfter(() => this.#moveLegacy(accept));
    } else if (!backend.isSynchronous) {
      this.#proceedAfter(() => this.#open());
    } else {
      if (this.#mustOpen()) this.#openQuietly();
      this.#proceed();
    }
  }

  /** `req.session`. After `regenerate` without `keep`, `logout` and `destroy` it is another object than before. */
  get session(): LiveSession | null | undefined {
    return this.#ended === undefined ? this.liveSession : this.#ended.as;
  }

  get liveSession(): LiveSession {
    this.#isRead = true;
    return sessionOf(this.#context ?? this.#start());
  }

  /** `req.session = value`: a plain object replaces the data, and `null` ends the session, as in cookie-session. */
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
    // An error handler's response to a session call that failed. To try the same again would make it fail, too.
    const isError = this.#res.statusCode >= 500 && (context?.queue.hasFailed === true || this.#mustRefuse);
    if (isError) this.#phase = "failed";
    const pending = isError ? quietly(() => context?.giveUp()) : context?.commit();
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
    if (action === "clear") return this.#carrier.clear(res);
    const { backend } = this.#parts;
    const token = backend.tokenOf(context, this.#carrier);
    this.#carrier.send(res, token, { now: backend.clock.now(), expires: context.state.endsAt });
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
    return this.#carrier.transport;
  }

  get delivery(): Delivery {
    if (this.#phase !== "open" || this.#isUpgraded?.() === true) return "headers-sent";
    return this.#carrier.deliverable ? "possible" : "insecure";
  }

  get isOver(): boolean {
    if (this.#phase !== "open") return true;
    const { destroyed, stream }: { destroyed?: boolean; stream?: { destroyed?: boolean } } = this.#res;
    return destroyed === true || stream?.destroyed === true;
  }

  /** The request takes long, and keeps its session alive. */
  use(): void {
    const { backend } = this.#parts;
    const use = (session: Parameters<SessionBackend["use"]>[0] | undefined): void => {
      if (session !== undefined) backend.use(session);
    };
    if (this.#context !== undefined) use(this.#context.stored);
    else if (this.#lookup.is === "done") use(this.#lookup.opening?.opened);
    else quietly(() => after(openFirst(backend, this.#tokens, this.#carrier), (found) => use(found?.opened)));
  }

  /** Returns the name of a cookie or header that these carriers use, too. */
  clashesWith(carriers: readonly TokenCarrier[]): string | undefined {
    return carriers.find(({ name }) => this.#carriers.some((carrier) => carrier.name === name))?.name;
  }

  /** Whether this is a session of the same `session()`, or of another one with the same store. */
  isOf({ store }: RequestParts): boolean {
    return store === this.#parts.store;
  }

  /** What the response says about the token. One that could not save says nothing, except that a logout was asked for. */
  #cookieAction({ cookie, state }: SessionContext): CookieAction {
    if (cookie === "clear") return this.#texts.length > 0 ? "clear" : "none";
    if (this.#phase === "failed") return "none";
    // A new token, by the application's newest key.
    const isOutdated = this.#lookup.is === "done" && this.#lookup.opening?.outdated === true;
    return isOutdated && state.status === "stored" && this.#carrier.deliverable ? "set" : cookie;
  }

  /** Whether no response may pass for one with the session, which could not be opened. */
  get #mustRefuse(): boolean {
    return this.#lookup.is === "failed" && this.#parts.onStoreError === "error";
  }

  #refuse(): void {
    if (this.#lookup.is === "failed") throw this.#lookup.error;
  }

  /**
   * A WebSocket's handshake leaves without waiting. A synchronous store stores the session now; any other one has a token to send only
   * if `save()` or `login()` stored the session before.
   */
  #shakeHands(): void | Promise<void> {
    if (!this.#parts.backend.isSynchronous) this.#phase = "committed";
    const pending = this.beforeHeaders();
    this.writeHeaders();
    return pending;
  }

  #proceed(): void {
    if (this.#phase === "failed" && this.#lookup.is === "failed") return this.#next(this.#lookup.error);
    this.#next();
    // Most requests are answered by now.
    if (this.isHeld && this.#texts.length > 0 && !this.isOver) this.#parts.backend.running?.add(this);
  }

  #proceedAfter(work: () => Awaitable<void>): void {
    try {
      const pending = work();
      if (isPromise(pending)) {
        pending.then(
          () => this.#proceed(),
          (error: unknown) => {
            this.#lookupFailed(error);
            this.#proceed();
          },
        );
        return;
      }
    } catch (error) {
      this.#lookupFailed(error);
    }
    this.#proceed();
  }

  #lookupFailed(error: unknown): void {
    this.#lookup = { is: "failed", error: asError(error) };
    if (isMixed(error)) this.#phase = "failed";
  }

  #verify(texts: readonly string[], carrier: TokenCarrier): readonly CheckedToken[] {
    const { backend, events } = this.#parts;
    if (texts.length === 0) return NO_TOKENS;
    const tokens: CheckedToken[] = [];
    for (const text of texts.length === 1 ? texts : new Set(texts)) {
      const token = backend.verify(text, carrier);
      if (token !== undefined) tokens.push(token);
    }
    if (tokens.length > 1) events.emit("duplicate-cookie", { count: tokens.length });
    return tokens;
  }

  /** Whether a synchronous store has to be asked although nothing has read the session. */
  #mustOpen(): boolean {
    const [token] = this.#tokens;
    return (
      this.#bringing.length > 1 ||
      this.#tokens.length > 1 ||
      (token !== undefined && this.#parts.backend.isTouchDue(token))
    );
  }

  #openQuietly(): void {
    try {
      this.#open();
    } catch (error) {
      // Perhaps nothing reads this session. A read tries again and reports the failure.
      if (isMixed(error)) this.#lookupFailed(error);
    }
  }

  #start(): SessionContext {
    if (this.#lookup.is === "pending") {
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
        // Not thrown: nobody may be there to catch it. The response is refused instead.
        this.#lookup = { is: "failed", error: asError(error) };
      }
    }
    if (this.#context !== undefined) return this.#context;
    const { backend } = this.#parts;
    const lookup: Lookup = this.#lookup;
    const opened = lookup.is === "done" ? lookup.opening?.opened : undefined;
    const context = backend.context(this, opened, this.#carrier);
    if (lookup.is === "failed") context.unavailable = lookup.error;
    if (opened === undefined) for (const token of this.#tokens) context.late ??= backend.rotated(token);
    this.#context = context;
    if (this.#phase === "open" && this.#res?.headersSent === true) this.#phase = "committed";
    return context;
  }

  #open(): Awaitable<void> {
    if (this.#bringing.length > 1) return this.#openOnly(0, undefined);
    const found = openFirst(this.#parts.backend, this.#tokens, this.#carrier);
    if (isPromise(found)) return found.then((opening) => this.#opened(opening));
    this.#opened(found);
  }

  /** Tries each carrier. Nothing could tell which of two sessions was meant (ASVS 3.5.1). */
  #openOnly(position: number, found: Opening | undefined): Awaitable<void> {
    const carrier = this.#bringing[position];
    if (carrier === undefined) {
      if (found === undefined) this.#carrier = this.#answering;
      return this.#opened(found);
    }
    const texts = carrier.read(this.request);
    const tokens = this.#verify(texts, carrier);
    return after(openFirst(this.#parts.backend, tokens, carrier), (opening) => {
      if (opening === undefined) return this.#openOnly(position + 1, found);
      if (found !== undefined) {
        throw new SojournError("MIXED_TOKENS", "the request brought the tokens of two sessions: send one of them");
      }
      this.#carrier = carrier;
      this.#texts = texts;
      this.#tokens = tokens;
      return this.#openOnly(position + 1, opening);
    });
  }

  #opened(opening: Opening | undefined): void {
    this.#lookup = { is: "done", opening };
    // The response has to bring a new token, even if nothing reads the session.
    if (opening?.renew === true && this.#carrier.deliverable) this.#start();
  }

  /** Begins a session with the data of another library's. */
  #moveLegacy(accept: Accept): Awaitable<void> {
    const reader = accept(this.request);
    if (reader === undefined) return undefined;
    const legacy = new LegacyMove(reader);
    this.#legacy = legacy;
    return after(reader.read(this.request), (session) => {
      // The old session stays until a page brings the token of the new one.
      if (session === undefined || this.delivery === "headers-sent") return undefined;
      return legacy.moveTo(this.liveSession, session);
    });
  }
}

const NO_TOKENS: readonly CheckedToken[] = [];

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
