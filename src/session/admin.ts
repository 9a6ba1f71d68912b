import { isIndexed, type StoreCapabilities, type StoredSession } from "../contract/store.ts";
import { isHandle } from "../crypto/token.ts";
import { decodePayload, type SessionMeta } from "./content.ts";
import type { SessionParts } from "./context.ts";
import { endAll } from "./end.ts";
import { storePending } from "./rotate.ts";
import { endSession } from "./rotated-handles.ts";
import { stateOf } from "./session.ts";
import { type SessionSnapshot, snapshotOf } from "./snapshot.ts";
import type { StoreAccess } from "./store-access.ts";
import { BATCH } from "./sweeper.ts";
import { hasExpired } from "./timeouts.ts";
import { checkedUserId } from "./user-id.ts";

/** Describes one of a user's sessions, for a list of their devices. */
export interface Device {
  /** Names the session for `revoke`. It opens nothing. */
  handle: string;
  /** Such as "Firefox on Linux". */
  label: string;
  /** The IP address that the session began from, if it was known. */
  ip: string | undefined;
  /** When the session began. */
  createdAt: Date;
  /** The last use that was stored, at most `touchAfter` before the real one. */
  lastUsedAt: Date;
  /** When the session ends if no request uses it again. */
  expiresAt: Date;
  /** Whether it is the session passed as `current`. */
  current: boolean;
}

/** Describes what an application's sessions guarantee. */
export interface Capabilities extends Readonly<Partial<StoreCapabilities>> {
  /** Whether the server can end a session without its client. */
  readonly revocable: boolean;
  /** Whether sessions live in their clients' cookies. */
  readonly clientSide: boolean;
  /** Whether Sojourn merges the changes of parallel requests. If not, the last response wins. */
  readonly mergesRequests: boolean;
  /** Whether a store keeps the data that does not fit a cookie. */
  readonly overflows: boolean;
}

/** @internal Manages sessions outside their requests. `Sessions` documents the methods. */
export interface SessionAdmin {
  readonly capabilities: Capabilities;
  list(userId: string, options?: { current?: object }): Promise<Device[]>;
  get(handle: string): Promise<SessionSnapshot | undefined>;
  count(userId?: string): Promise<number>;
  revoke(handle: string, options?: { userId?: string }): Promise<boolean>;
  revokeAll(userId: string, options?: { except?: object | string }): Promise<number>;
  prune(limit?: number): Promise<number>;
}

const LIST_PAGE = 1_000;

/** @internal Manages sessions that live in a store. */
export class StoredAdmin implements SessionAdmin {
  readonly #parts: SessionParts;
  readonly #access: StoreAccess;

  constructor({ parts, access }: { parts: SessionParts; access: StoreAccess }) {
    this.#parts = parts;
    this.#access = access;
  }

  get capabilities(): Capabilities {
    const { store } = this.#access;
    return {
      ...store.capabilities,
      indexed: isIndexed(store),
      revocable: true,
      clientSide: false,
      mergesRequests: true,
      overflows: false,
    };
  }

  async list(userId: string, { current }: { current?: object } = {}): Promise<Device[]> {
    const currentHandle = current === undefined ? undefined : stateOf(current)?.handle;
    const devices: Device[] = [];
    for await (const { session, meta } of this.#openSessionsOf(checkedUserId(userId, "list(userId)"))) {
      devices.push({
        handle: session.handle,
        label: meta.device?.label ?? "Unknown device",
        ip: meta.device?.ip,
        createdAt: new Date(session.createdAt),
        lastUsedAt: new Date(session.touchedAt),
        expiresAt: new Date(session.expiresAt),
        current: session.handle === currentHandle,
      });
    }
    return devices;
  }

  async get(handle: string): Promise<SessionSnapshot | undefined> {
    if (typeof handle !== "string" || !isHandle(handle)) return undefined;
    await storePending(this.#parts, { handle });
    const record = await this.#access.load(handle);
    const content = record === undefined ? undefined : decodePayload(record.payload);
    if (record === undefined || content === undefined || this.#hasEnded(record, content.meta)) return undefined;
    return snapshotOf(handle, record, content, () => this.#parts.events.emit("damaged-record", { handle }));
  }

  async count(userId?: string): Promise<number> {
    const store = this.#access.indexed("count");
    if (userId === undefined) return this.#access.read("count", () => store.count({}));
    let count = 0;
    for await (const _ of this.#openSessionsOf(checkedUserId(userId, "count(userId)"))) count += 1;
    return count;
  }

  async revoke(handle: string, options: { userId?: string } = {}): Promise<boolean> {
    // An undefined user ID must not mean "anyone's".
    const userId = Object.hasOwn(options, "userId")
      ? checkedUserId(options.userId, "revoke(handle, { userId })")
      : undefined;
    if (typeof handle !== "string" || !isHandle(handle)) return false;
    await storePending(this.#parts, { handle });
    if (userId !== undefined && (await this.#access.load(handle))?.userId !== userId) return false;
    const ended = await endSession(this.#access, handle);
    if (ended) this.#parts.events.emit("revoke", { handle, ...(userId !== undefined && { userId }), count: 1 });
    return ended;
  }

  async revokeAll(userId: string, { except }: { except?: object | string } = {}): Promise<number> {
    this.#access.indexed("revokeAll");
    const query = exceptQuery(userId, except);
    await storePending(this.#parts, { userId });
    return endAll(this.#parts, this.#access, query);
  }

  async prune(limit: number = BATCH): Promise<number> {
    const store = this.#access.indexed("prune");
    return this.#access.commit("prune", () => store.prune(limit));
  }

  /** Yields the sessions that a request would open: neither ended nor damaged. */
  async *#openSessionsOf(userId: string): AsyncGenerator<{ session: StoredSession; meta: SessionMeta }> {
    const store = this.#access.indexed("list");
    await storePending(this.#parts, { userId });
    let cursor: string | undefined;
    do {
      const query = { userId, limit: LIST_PAGE, ...(cursor !== undefined && { cursor }) };
      const page = await this.#access.read("list", () => store.list(query));
      for (const session of page.sessions) {
        const meta = decodePayload(session.payload)?.meta;
        if (meta !== undefined && !this.#hasEnded(session, meta)) yield { session, meta };
      }
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** Returns whether requests reject a session: a timeout may have become shorter. */
  #hasEnded({ createdAt, touchedAt, expiresAt }: Omit<StoredSession, "handle">, meta: SessionMeta): boolean {
    const { clock, limits } = this.#parts;
    return hasExpired({ ...meta, createdAt, touchedAt, expiresAt }, clock.now(), limits);
  }
}

/** @internal Checks the arguments of `revokeAll`. @throws TypeError */
export function exceptQuery(userId: string, except: object | string | undefined): { userId: string; except?: string } {
  const kept = typeof except === "string" ? except : stateOf(except)?.handle;
  if (except !== undefined && kept === undefined) {
    throw new TypeError("revokeAll(userId, { except }): except must be a session or a handle");
  }
  return { userId: checkedUserId(userId, "revokeAll(userId)"), ...(kept !== undefined && { except: kept }) };
}
