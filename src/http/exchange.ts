import type { IncomingMessage, ServerResponse } from "node:http";
import { isPromise } from "../core/awaitable.ts";
import { SojournError } from "../core/errors.ts";
import type { SessionManager } from "../core/manager.ts";
import type { DeviceInfo } from "../core/record.ts";
import type { LiveSession } from "../core/session.ts";
import type { Client, OpenedSession, Visit } from "../core/visit.ts";
import type { Awaitable } from "../stores/store.ts";
import type { VerifiedToken } from "../tokens/token.ts";
import { deviceOf } from "./device.ts";
import { type HoldHooks, holdResponse } from "./held-response.ts";
import type { Channel } from "./transports.ts";

export type Next = (error?: unknown) => void;

/** What all exchanges of one middleware share. */
export interface ExchangeEnvironment {
  readonly manager: SessionManager;
  readonly onStoreError: "error" | "anonymous";
}

/**
 * One request and its response, as far as their session is concerned. Until the application reads `req.session` nothing is
 * patched and nothing decoded.
 */
export class Exchange implements HoldHooks, Client {
  readonly #env: ExchangeEnvironment;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #next: Next;
  readonly #channel: Channel;
  readonly #texts: readonly string[];
  #opened: OpenedSession | undefined = undefined;
  #token: VerifiedToken | undefined = undefined;
  #isOpen = false;
  #visit: Visit | undefined = undefined;
  /** Why the session could not be opened. */
  #failure: SojournError | undefined = undefined;
  /** A commit failed, or the session could not be opened: the error handler's answer says nothing of a session. */
  #broken = false;
  /** The last commit before the headers has begun, or they have left: nothing that begins now can have its token sent. */
  #isSealed = false;

  constructor(env: ExchangeEnvironment, req: IncomingMessage, res: ServerResponse, next: Next, channel: Channel) {
    this.#env = env;
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#channel = channel;
    this.#texts = channel.read(req);
  }

  /**
   * Looks at the token before the handlers run. A store that answers at once is asked only if the session's last use may be due to
   * be written down; else when the session is first read. Any other store is asked now, because `req.session` can't wait.
   */
  begin(): void {
    if (this.#texts.length === 0) {
      this.#isOpen = true;
      this.#next();
      return;
    }
    const { manager } = this.#env;
    if (manager.store.synchronousLoad === true) {
      if (!this.#isQuiet()) this.#openQuietly();
      this.#next();
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
  get session(): LiveSession {
    return (this.#visit ?? this.#start()).session;
  }

  delivery(): "possible" | "insecure" | "headers-sent" {
    if (this.#isSealed || this.#broken) return "headers-sent";
    return this.#channel.deliverable ? "possible" : "insecure";
  }

  device(): DeviceInfo {
    return deviceOf(this.#req);
  }

  beforeHeaders(): void | Promise<void> {
    const visit = this.#broken ? undefined : this.#visit;
    // An error handler's answer to a session call that failed: to try the same again would make it fail, too.
    this.#broken ||= visit?.hasFailed === true && this.#res.statusCode >= 500;
    const pending = this.#broken ? quietly(() => visit?.giveUp()) : visit?.commit();
    this.#isSealed = true;
    return pending;
  }

  writeHeaders(): void {
    const visit = this.#visit;
    if (visit === undefined) return;
    const res = this.#res;
    this.#channel.vary(res);
    if (visit.clearSiteData) res.setHeader("Clear-Site-Data", '"cache", "cookies", "storage"');
    const answer = this.#answer(visit);
    if (answer === "keep") return;
    // RFC 9111: a shared cache must not give one visitor's cookie to another (CVE-2023-30861).
    if (!res.hasHeader("cache-control")) res.setHeader("Cache-Control", "no-store");
    if (answer === "clear") {
      this.#channel.clear(res);
      return;
    }
    const token = this.#channel.codec.format(visit.session.id, visit.secret);
    this.#channel.send(res, token, { now: this.#env.manager.clock.now(), expires: visit.until });
  }

  beforeEnd(): void | Promise<void> {
    return this.#broken ? undefined : this.#visit?.commit();
  }

  failed(error: unknown): void {
    this.#broken = true;
    this.#next(error);
  }

  /** What to tell the client of its token. A response that could not save says nothing, except that a logout was asked for. */
  #answer(visit: Visit): "keep" | "send" | "clear" {
    if (visit.token === "clear") return this.#texts.length > 0 ? "clear" : "keep";
    if (this.#broken) return "keep";
    // The application's newest key takes over.
    if (this.#token?.outdated === true && visit.isStored) return "send";
    return visit.token;
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
        this.#failure = asError(error);
        if (this.#env.onStoreError === "error") {
          // Told once. The error handler's page may read req.session: it finds an empty one that saves nothing.
          this.#broken = true;
          throw error;
        }
      }
    }
    const visit = this.#env.manager.visit(this, this.#opened);
    visit.detached = this.#failure;
    this.#visit = visit;
    const res: Partial<ServerResponse> = this.#res;
    // Called with something that is no response (an upgrade, a job): the session works, save() commits it.
    if (typeof res?.end === "function" && typeof res.writeHead === "function") {
      this.#isSealed = res.headersSent === true;
      holdResponse(this.#res, this);
    }
    return visit;
  }

  #open(): Awaitable<void> {
    const found = this.#env.manager.openFirst(this.#texts, this.#channel.codec);
    if (isPromise(found)) return found.then((result) => this.#opens(result));
    this.#opens(found);
  }

  #opens(result: { opened: OpenedSession; token: VerifiedToken } | undefined): void {
    this.#isOpen = true;
    this.#opened = result?.opened;
    this.#token = result?.token;
  }

  #openQuietly(): void {
    try {
      this.#open();
    } catch {
      // Perhaps nobody reads this session. Who does, asks again and is told.
    }
  }

  /** Whether there is nothing to write down for this token unless its session is read. */
  #isQuiet(): boolean {
    if (this.#texts.length > 1) return false;
    const token = this.#channel.codec.verify(this.#texts[0] ?? "");
    return token === undefined || this.#env.manager.clock.now() < token.quietUntil;
  }

  #loadFailed(error: unknown): void {
    this.#failure = asError(error);
    if (this.#env.onStoreError === "anonymous") {
      this.#next();
      return;
    }
    this.#broken = true;
    this.#next(error);
  }
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
