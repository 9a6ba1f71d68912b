import type { IncomingMessage } from "node:http";
import { after, deliver, queueMicrotask } from "../contract/time.ts";
import type { SessionBackend } from "../session/backend.ts";
import type { OpenedSession } from "../session/context.ts";
import { Events } from "../session/events.ts";
import type { ManagedKeys } from "../session/managed-keys.ts";
import type { SessionData } from "../session/session-data.ts";
import { type SessionSnapshot, snapshotOf } from "../session/snapshot.ts";
import { openFirst } from "../session/stored.ts";
import type { TokenCarrier } from "./carrier.ts";
import { bringsUnknown, carriersFor } from "./incoming-token.ts";
import { pageOfSameHost } from "./origin.ts";
import { isLocalhost, type ProxyTrust } from "./secure.ts";
import type { Transports } from "./transports.ts";
import { warnOnce } from "./warn.ts";

/** Options for `sessions.openToken`. */
export interface TouchOptions {
  /** Whether this is a use of the session, which moves its idle deadline. Default `false`. */
  touch?: boolean | undefined;
}

/** Options for `sessions.authenticateUpgrade`. */
export interface UpgradeOptions extends TouchOptions {
  /**
   * Other origins whose pages may connect, such as `"https://app.example.com"`. Default: only the
   * same scheme and host.
   */
  origins?: readonly string[] | undefined;
}

/** Describes the session of a connection that outlives its request. It can't change the data. */
export interface UpgradeSession<Data extends object = SessionData> extends SessionSnapshot<Data> {
  /**
   * Calls `listener` once when the session ends: by a logout, a revocation, a login, which rotates
   * its ID, or a timeout. That is immediate if this process ended it, and within about a second
   * otherwise.
   *
   * @returns a function that removes the listener: call it when the connection closes
   * @example
   * const stop = session.onEnd(() => socket.close(4401, "session ended"));
   * socket.on("close", stop);
   */
  onEnd(listener: () => void): () => void;
  /**
   * Moves the session's idle deadline. Traffic on a connection counts as a use only by this call;
   * once a minute is enough. You need not await it.
   *
   * @throws SojournError `SESSION_GONE` if the session has ended; `HEADERS_SENT` for a sealed
   * session, whose deadline is in its cookie; `STORE_…` if the store fails
   * @example
   * socket.on("message", () => session.touch());
   */
  touch(): Promise<void>;
}

/** The interval between checks of sessions with open connections. */
const POLL_MS = 1_000;
/** The most parallel checks, so that a thousand sockets cause no burst. */
const PARALLEL = 16;

interface Watched {
  /** The session as the longest-lived connection opened it: a sealed session ends with its seal. */
  opened: OpenedSession;
  readonly listeners: Set<() => void>;
}

/**
 * @internal Notifies open connections of their sessions' ends, by this process's events and by
 * polling.
 */
export class Watch {
  readonly #backend: SessionBackend;
  /** By handle. */
  readonly #watched = new Map<string, Watched>();
  #cancel: (() => void) | undefined = undefined;
  #isClosed = false;

  constructor(backend: SessionBackend, events: Events) {
    this.#backend = backend;
    const ends = ({ handle }: { handle: string }) => this.#end(handle);
    events.on("destroy", ends);
    events.on("gone", ends);
    events.on("invalidated", ends);
    events.on("impersonation-ended", ends);
    events.on("regenerate", ({ previous }) => this.#end(previous));
    events.on("login", ({ previous }) => this.#end(previous));
    events.on("revoke", ({ handle, userId, link, except }) => {
      if (handle !== undefined) this.#end(handle);
      else
        this.#endAll((opened) => (link === undefined ? isOfUser(opened, userId) : opened.record.link === link), except);
    });
  }

  add(opened: OpenedSession, listener: () => void): () => void {
    let watched = this.#watched.get(opened.handle);
    if (watched === undefined) {
      watched = { opened, listeners: new Set() };
      this.#watched.set(opened.handle, watched);
    } else if (opened.record.expiresAt > watched.opened.record.expiresAt) {
      watched.opened = opened;
    }
    // A closure for each call, so that the same function may be added twice.
    const own = () => listener();
    const { listeners } = watched;
    listeners.add(own);
    this.#pollLater();
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#watched.get(opened.handle)?.listeners === listeners) {
        this.#watched.delete(opened.handle);
      }
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#watched.clear();
  }

  #end(handle: string | undefined): void {
    const watched = handle === undefined ? undefined : this.#watched.get(handle);
    if (watched === undefined) return;
    this.#watched.delete(watched.opened.handle);
    // `Events` turns an error of a listener into a warning, so that the other listeners still run.
    const ends = new Events<{ onEnd: undefined }>({ onEnd: true });
    for (const listener of watched.listeners) ends.on("onEnd", listener);
    queueMicrotask(() => ends.emit("onEnd", undefined));
  }

  #endAll(isMeant: (opened: OpenedSession) => boolean, except: string | undefined): void {
    for (const [handle, { opened }] of this.#watched) {
      if (handle !== except && isMeant(opened)) this.#end(handle);
    }
  }

  #pollLater(): void {
    if (this.#cancel !== undefined || this.#isClosed) return;
    this.#cancel = this.#backend.clock.after(POLL_MS, () => {
      this.#poll().finally(() => {
        this.#cancel = undefined;
        if (this.#watched.size > 0) this.#pollLater();
      });
    });
  }

  async #poll(): Promise<void> {
    const open = [...this.#watched.values()];
    const work = async (): Promise<void> => {
      for (let watched = open.pop(); watched !== undefined; watched = open.pop()) {
        const { opened } = watched;
        try {
          const isOpen = (await this.#backend.isOpen(opened)) && (await isStillValid(this.#backend, opened));
          if (!isOpen && watched.opened === opened) this.#end(opened.handle);
        } catch {
          // The failed read has emitted an event. The next poll tries again.
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
  }
}

/** Validates an opened session outside a request, if that is due. @throws as `validate` does */
async function isStillValid(backend: SessionBackend, opened: OpenedSession): Promise<boolean> {
  if (backend.validation?.isDue(opened.handle) !== true) return true;
  if ((await backend.validate(opened)) !== "valid") return false;
  // It may have ended while the application thought about it.
  return backend.isOpen(opened);
}

/** Whether a session is this user's, or one in which the user acts as another. */
function isOfUser({ record, content }: OpenedSession, userId: string | undefined): boolean {
  return record.userId === userId || content.meta.actor?.userId === userId;
}

/**
 * Returns whether a page of this origin may open a connection. The same-origin policy does not
 * cover WebSockets, and browsers send the cookie along. So the page must have the same host and
 * scheme. Other programs send no `Origin`.
 */
function isAllowedOrigin(
  req: IncomingMessage,
  { origins = [], trust, isSecure }: { origins: readonly string[] | undefined; trust: ProxyTrust; isSecure: boolean },
): boolean {
  const { origin } = req.headers;
  if (origin === undefined || origins.includes(origin)) return true;
  const page = pageOfSameHost(req, origin, trust);
  if (page === undefined) return false;
  if (page.protocol === "http:") return !isSecure;
  if (page.protocol !== "https:") return false;
  // An untrusted proxy's header still shows that the client's scheme is unknown: the host alone
  // decides.
  if (isSecure || req.headers["x-forwarded-proto"] !== undefined) return true;
  warnOfScheme();
  return false;
}

/**
 * Warns because a page of the same host over HTTPS is hardly an attacker: the application probably
 * does not know of its TLS.
 */
function warnOfScheme(): void {
  warnOnce(
    'authenticateUpgrade rejected a page of the same host over HTTPS, because the upgrade itself does not look like HTTPS. If TLS ends at a proxy, let it send X-Forwarded-Proto, or set cookie: { secure: "always" }. If not, add the page to origins',
  );
}

/** @internal Opens sessions for connections that outlive their request, without a response. */
export class DetachedSessions {
  readonly #backend: SessionBackend;
  readonly #transports: Transports;
  readonly #watch: Watch;
  readonly #keys: ManagedKeys | undefined;

  constructor(backend: SessionBackend, transports: Transports, watch: Watch, keys: ManagedKeys | undefined) {
    this.#backend = backend;
    this.#transports = transports;
    this.#watch = watch;
    this.#keys = keys;
  }

  /** Opens the session of a request, unless a page of another site sent it. */
  async ofUpgrade(req: IncomingMessage, { origins, ...options }: UpgradeOptions): Promise<UpgradeSession | undefined> {
    const { trust } = this.#transports;
    const carriers = carriersFor(this.#transports, req, false);
    const isSecure =
      trust.judge(req) === true || (carriers.some(({ isSecure }) => isSecure === true) && !isLocalhost(req));
    if (!isAllowedOrigin(req, { origins, trust, isSecure })) return undefined;
    return this.#open(
      carriers.map((carrier) => ({ carrier, texts: carrier.read(req) })),
      options,
    );
  }

  /** Opens the session of a token that came in a message. */
  async ofToken(token: string, options: TouchOptions): Promise<UpgradeSession | undefined> {
    const { held } = this.#transports;
    if (held.length === 0) throw new TypeError("openToken needs transport: bearer() or header(name)");
    if (typeof token !== "string") return undefined;
    return this.#open(
      held.map((carrier) => ({ carrier, texts: [token] })),
      options,
    );
  }

  /** Returns `undefined` for no session, and for two different ones. */
  async #open(
    carried: readonly { carrier: TokenCarrier; texts: readonly string[] }[],
    { touch = false }: TouchOptions,
  ): Promise<UpgradeSession | undefined> {
    const backend = this.#backend;
    await this.#keys?.prepare(() => carried.some(({ carrier, texts }) => bringsUnknown(backend, carrier, texts)));
    const found: OpenedSession[] = [];
    for (const { carrier, texts } of carried) {
      const tokens = texts.flatMap((text) => this.#backend.verify(text, carrier) ?? []);
      const opening = await openFirst(this.#backend, tokens, carrier, touch);
      if (opening === undefined || opening.opened.content.isSetAside === true) continue;
      if (await isStillValid(this.#backend, opening.opened)) found.push(opening.opened);
    }
    const [opened, ...more] = found;
    return opened === undefined || more.length > 0 ? undefined : this.#show(opened);
  }

  #show(opened: OpenedSession): UpgradeSession {
    const snapshot = snapshotOf(opened.handle, opened.record, opened.content, () => {});
    const session = Object.assign(snapshot, {
      onEnd: (listener: () => void) => this.#watch.add(opened, listener),
      touch: () => deliver(touch),
    });
    const touch = () =>
      after(this.#backend.touch(opened), ({ touchedAt, expiresAt }) => {
        session.lastUsedAt = new Date(touchedAt);
        session.expiresAt = new Date(expiresAt);
      });
    return session;
  }
}
