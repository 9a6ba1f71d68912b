import type { IncomingMessage } from "node:http";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable } from "../contract/store.ts";
import { after, isPromise, recover } from "../contract/time.ts";
import type { CheckedToken, Opening, SessionBackend } from "../session/backend.ts";
import { transportOf } from "../session/content.ts";
import type { Events } from "../session/events.ts";
import type { RotatedToken } from "../session/rotated-handles.ts";
import { openFirst } from "../session/stored.ts";
import type { TokenCarrier } from "./carrier.ts";
import { pathMatches } from "./cookies.ts";
import { pathOf } from "./request-path.ts";
import type { Transports } from "./transports.ts";

const NO_TOKENS: readonly CheckedToken[] = [];

/** Verifies the token that a request brought, and opens its session. */
export class IncomingToken {
  /** The carrier of the session's token. */
  carrier: TokenCarrier;
  /** The session that the token opens, once {@link open} is done; `undefined` for none. */
  opening: Opening | undefined = undefined;
  /** Whether the application has just rejected the session, which ended: the client's token is useless. */
  isInvalidated = false;
  /** Why {@link open} failed. */
  error: SojournError | undefined = undefined;
  /** Whether the client sent anything. */
  isPresent: boolean;
  readonly #backend: SessionBackend;
  readonly #events: Events;
  readonly #req: IncomingMessage;
  /** Whether the request is a use of its session. */
  readonly #counts: boolean;
  /** The carriers in which the client sent something. */
  readonly #bringing: readonly TokenCarrier[];
  /** The carrier for a client without a token. */
  readonly #fallback: TokenCarrier;
  #tokens: readonly CheckedToken[];
  #isOpened = false;

  constructor(
    { backend, events }: { backend: SessionBackend; events: Events },
    req: IncomingMessage,
    carriers: readonly TokenCarrier[],
    fallback: TokenCarrier,
    counts: boolean,
  ) {
    this.#backend = backend;
    this.#events = events;
    this.#req = req;
    this.#counts = counts;
    this.#fallback = fallback;
    this.#bringing = carriers.length === 1 ? carriers : carriers.filter((carrier) => carrier.read(req).length > 0);
    this.carrier = this.#bringing[0] ?? fallback;
    const texts = this.carrier.read(req);
    this.isPresent = texts.length > 0;
    this.#tokens = this.#verify(texts, this.carrier);
  }

  /** Whether {@link open} has finished, or has nothing to do. */
  get isOpened(): boolean {
    return this.#isOpened || !this.isPresent;
  }

  /** Whether a synchronous store must be queried even if nothing reads the session. */
  get mustOpen(): boolean {
    if (this.#bringing.length > 1 || this.#tokens.length > 1) return true;
    const token = this.#tokens[0];
    return token !== undefined && this.#backend.isOpeningDue(token, this.#counts);
  }

  /** Whether the request brought tokens of two sessions, neither of which is safe (ASVS 3.5.1). */
  get isAmbiguous(): boolean {
    return this.error?.code === "MIXED_TOKENS";
  }

  /** Returns the token whose session another one replaced a moment ago, if any. */
  get rotated(): RotatedToken | undefined {
    if (this.opening !== undefined) return undefined;
    for (const token of this.#tokens) {
      const rotated = this.#backend.rotated(token);
      if (rotated !== undefined) return rotated;
    }
    return undefined;
  }

  /** Opens the session. A failure is in {@link error}. */
  open(): Awaitable<void> {
    try {
      const opening = this.#bringing.length > 1 ? this.#openOnly(0, undefined) : this.find();
      if (!isPromise(opening)) return this.#opened(opening);
      if (this.#backend.isSynchronous) {
        opening.catch(() => undefined);
        throw notSynchronous();
      }
      return opening.then(
        (found) => this.#opened(found),
        (error: unknown) => this.fail(error),
      );
    } catch (error) {
      this.fail(error);
    }
  }

  /** Opens the session, and has the application validate it, if that is due. */
  openValid(): Awaitable<void> {
    return after(this.open(), () => this.#validate());
  }

  /** Looks the session up, without an effect on this object. */
  find(): Awaitable<Opening | undefined> {
    return openFirst(this.#backend, this.#tokens, this.carrier, this.#counts);
  }

  fail(error: unknown): void {
    this.error = asError(error);
  }

  #validate(): Awaitable<void> {
    const opened = this.opening?.opened;
    const backend = this.#backend;
    if (opened === undefined || backend.validation?.isDue(opened.handle) !== true) return undefined;
    const validate = (): Awaitable<void> => {
      const verdict = backend.validate(opened);
      // It may have ended while the application thought about it.
      const isLate = isPromise(verdict);
      return after(verdict, (one) => {
        if (one === "valid" && !isLate) return undefined;
        this.opening = undefined;
        if (one === "ended") this.isInvalidated = true;
        return one === "valid" || one === "gone" ? this.#reopen(opened.handle, one === "valid") : undefined;
      });
    };
    return recover(validate, (error) => {
      this.opening = undefined;
      this.fail(error);
    });
  }

  /** Opens what the tokens open now, @param isValid whether that may be the session of this handle */
  #reopen(handle: string, isValid: boolean): Awaitable<void> {
    return after(this.open(), () => {
      if (this.opening?.opened.handle !== handle) return this.#validate();
      if (!isValid) this.opening = undefined;
    });
  }

  #opened(opening: Opening | undefined): void {
    this.#isOpened = true;
    this.error = undefined;
    this.opening = opening;
  }

  #verify(texts: readonly string[], carrier: TokenCarrier): readonly CheckedToken[] {
    if (texts.length === 0) return NO_TOKENS;
    const tokens: CheckedToken[] = [];
    for (const text of texts.length === 1 ? texts : new Set(texts)) {
      const token = this.#backend.verify(text, carrier);
      if (token !== undefined) tokens.push(token);
    }
    if (tokens.length > 1) this.#events.emit("duplicate-cookie", { count: tokens.length });
    return tokens;
  }

  /** Tries each carrier. @throws SojournError MIXED_TOKENS if two of them open a session */
  #openOnly(position: number, found: Opening | undefined): Awaitable<Opening | undefined> {
    const carrier = this.#bringing[position];
    if (carrier === undefined) {
      if (found === undefined) this.carrier = this.#fallback;
      return found;
    }
    const tokens = this.#verify(carrier.read(this.#req), carrier);
    return after(openFirst(this.#backend, tokens, carrier, this.#counts), (opening) => {
      if (opening === undefined) return this.#openOnly(position + 1, found);
      if (found !== undefined) {
        throw new SojournError("MIXED_TOKENS", "the request brought tokens of two sessions: send only one");
      }
      this.carrier = carrier;
      this.#tokens = tokens;
      return this.#openOnly(position + 1, opening);
    });
  }
}

/**
 * Returns the carriers whose path covers a request's.
 *
 * @param isPage whether a response could bring a token; an upgrade's can't
 */
export function carriersFor({ all, trust }: Transports, req: IncomingMessage, isPage: boolean): TokenCarrier[] {
  const carriers: TokenCarrier[] = [];
  if (isPage) trust.learn(req);
  for (const transport of all) {
    const carrier = transport.carrierFor(req, isPage);
    if (carrier.path === "/" || pathMatches(pathOf(req), carrier.path)) carriers.push(carrier);
  }
  return carriers;
}

/** Returns whether one of these texts is no token that a known key made. */
export function bringsUnknown(backend: SessionBackend, carrier: TokenCarrier, texts: readonly string[]): boolean {
  return texts.some((text) => backend.verify(text, carrier) === undefined);
}

/** Returns the carrier for a client without a token: the one that it requests, or the first. */
export function newTokenCarrier(req: IncomingMessage, carriers: readonly TokenCarrier[]): TokenCarrier | undefined {
  if (carriers.length < 2) return carriers[0];
  const requested = req.headers["x-session-transport"];
  return carriers.find((carrier) => transportOf(carrier) === requested) ?? carriers[0];
}

function notSynchronous(): SojournError {
  return new SojournError("STORE_UNAVAILABLE", "the store declares synchronousLoad, but its load returned a promise");
}

function asError(error: unknown): SojournError {
  return error instanceof SojournError
    ? error
    : new SojournError("STORE_UNAVAILABLE", "the session could not be opened", error);
}
