import type { IncomingMessage } from "node:http";
import type { Events } from "../core/events.ts";
import type { SessionKeeper } from "../core/keeper.ts";
import { type SessionSnapshot, snapshotOf } from "../core/snapshot.ts";
import type { OpenedSession } from "../core/visit.ts";
import type { Channel } from "./channel.ts";

export interface UpgradeOptions {
  /** Other origins whose pages may connect, such as `"https://app.example.com"`. Default: none but the page's own host. */
  origins?: readonly string[] | undefined;
}

/** A session for a connection that outlives its request: to be read, and to be told of its end. */
export interface UpgradeSession extends SessionSnapshot {
  /**
   * Calls `listener` once when the session ends: logout, revocation, login under a new name, or its time. At once if this process ended it, within
   * about a second otherwise. Returns how to stop listening: call it when the connection closes.
   * @example
   * const stop = session.onEnd(() => socket.close(4401, "session ended"));
   * socket.on("close", stop);
   */
  onEnd(listener: () => void): () => void;
}

/** How often sessions with open connections are looked up. */
const POLL_MS = 1_000;
/** How many are looked up at the same time, so that a thousand sockets are no burst. */
const PARALLEL = 16;

interface Watched {
  /** As the connection had it that may live longest: a sealed session ends with its seal. */
  opened: OpenedSession;
  readonly listeners: Set<() => void>;
}

/** Tells open connections of their sessions' ends: by this process's events, and by asking the store about all others. */
export class Watch {
  readonly #keeper: SessionKeeper;
  /** By handle. */
  readonly #watched = new Map<string, Watched>();
  #cancel: (() => void) | undefined = undefined;
  #isClosed = false;

  constructor(keeper: SessionKeeper, events: Events) {
    this.#keeper = keeper;
    const ends = ({ handle }: { handle: string }) => this.#end(handle);
    events.on("destroy", ends);
    events.on("gone", ends);
    events.on("regenerate", ({ previous }) => this.#end(previous));
    events.on("login", ({ previous }) => this.#end(previous));
    events.on("revoke", ({ handle, userId, except }) => {
      if (handle !== undefined) this.#end(handle);
      else if (userId !== undefined) this.#endUser(userId, except);
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
    // A listener of its own for each call, so that the same function may be given twice.
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
    for (const listener of watched.listeners) {
      // The application's own; what it throws is its own too, and must not keep the others from being told.
      queueMicrotask(listener);
    }
  }

  #endUser(userId: string, except: string | undefined): void {
    for (const [handle, { opened }] of this.#watched) {
      if (opened.record.userId === userId && handle !== except) this.#end(handle);
    }
  }

  #pollLater(): void {
    if (this.#cancel !== undefined || this.#isClosed) return;
    this.#cancel = this.#keeper.clock.after(POLL_MS, () => {
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
          if (!(await this.#keeper.isOpen(opened)) && watched.opened === opened) this.#end(opened.handle);
        } catch {
          // The store can't say. Its failure is an event already; the next look may tell.
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
  }
}

/**
 * Whether a page of this origin may open a connection: WebSockets are not bound by the same-origin policy, and the browser sends
 * the cookie along. Programs that are no browsers send no `Origin`.
 */
export function isAllowedOrigin(req: IncomingMessage, origins: readonly string[] = []): boolean {
  const { origin, host } = req.headers;
  if (origin === undefined || origins.includes(origin)) return true;
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  return url !== undefined && host !== undefined && url.host === host.toLowerCase();
}

/** The session that a request's token opens, without a response: `undefined` for none, or for two different ones. */
export async function openDetached(
  keeper: SessionKeeper,
  carried: readonly { channel: Channel; texts: readonly string[] }[],
): Promise<OpenedSession | undefined> {
  const found: OpenedSession[] = [];
  for (const { channel, texts } of carried) {
    const opening = await keeper.openFirst(texts, channel);
    if (opening !== undefined) found.push(opening.opened);
  }
  return found.length === 1 ? found[0] : undefined;
}

/** What is shown of a session that was opened without a response. */
export function upgradeSession(opened: OpenedSession, watch: Watch): UpgradeSession {
  const snapshot = snapshotOf(opened.handle, opened.record, opened.content, () => {});
  return Object.assign(snapshot, { onEnd: (listener: () => void) => watch.add(opened, listener) });
}
