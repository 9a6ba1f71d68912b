import { SojournError } from "../contract/errors.ts";
import { isHandle } from "../crypto/token.ts";
import { type Capabilities, exceptQuery, type SessionAdmin, type SessionsOf, StoredAdmin } from "../session/admin.ts";
import type { Events } from "../session/events.ts";
import type { SealedSessions } from "./backend.ts";
import { noRevocations, type RevocationList } from "./revocation-list.ts";

/**
 * Manages sealed sessions outside their requests, as far as the revocation list allows. Nothing can
 * list or count them.
 */
export class SealedAdmin implements SessionAdmin {
  readonly #backend: SealedSessions;
  readonly #events: Events;

  constructor(backend: SealedSessions, events: Events) {
    this.#backend = backend;
    this.#events = events;
  }

  get capabilities(): Capabilities {
    return {
      atomicUpdate: false,
      indexed: false,
      revocable: this.#backend.revocations !== undefined,
      clientSide: true,
      mergesRequests: false,
      overflows: this.#backend.overflow !== undefined,
    };
  }

  async list(): Promise<never> {
    throw unlisted("list");
  }

  async get(): Promise<never> {
    throw unlisted("get");
  }

  async count(): Promise<never> {
    throw unlisted("count");
  }

  /**
   * Ends one session and all copies of its seal.
   * @returns `false` if it had ended before; whether it existed is unknown
   */
  async revoke(handle: string, options: { userId?: string; by?: object } = {}): Promise<boolean> {
    const revocations = this.#requireRevocations("revoke");
    if (options.userId !== undefined || Object.hasOwn(options, "by")) {
      throw new SojournError(
        "NO_USER_INDEX",
        "revoke(handle, { userId or by }): only a sealed session's cookie names its user. Use revokeAll(userId), or revoke(handle) with a handle from the event login",
      );
    }
    if (typeof handle !== "string" || !isHandle(handle)) return false;
    const ended = await revocations.end(handle);
    if (ended) this.#events.emit("revoke", { handle, count: 1 });
    return ended;
  }

  /** Ends all sessions of a user. @returns 1, as the event does: their number is unknown */
  async revokeAll(of: SessionsOf, options: { except?: object | string; by?: object } = {}): Promise<number> {
    const revocations = this.#requireRevocations("revokeAll");
    const query = exceptQuery(this.#backend, of, options);
    if (query.userId === undefined) throw unlisted("revokeAll({ link })");
    const [store] = this.#backend.stores;
    await store?.parts.links?.endAll(query.userId);
    await revocations.endUser(query.userId, query.except);
    this.#events.emit("revoke", { ...query, count: 1 });
    return 1;
  }

  async export(): Promise<never> {
    throw unlisted("export");
  }

  async erase(): Promise<never> {
    throw unlisted("erase");
  }

  /** Deletes revocations whose seals have expired, and overflow that no seal names. */
  async prune(limit?: number): Promise<number> {
    let pruned = 0;
    for (const store of this.#backend.stores) pruned += await new StoredAdmin(store).prune(limit);
    return pruned;
  }

  #requireRevocations(method: string): RevocationList {
    const { revocations } = this.#backend;
    if (revocations === undefined) throw noRevocations(method);
    return revocations;
  }
}

function unlisted(method: string): SojournError {
  return new SojournError(
    "NO_USER_INDEX",
    `${method}: sealed sessions live in their cookies, and no server can list them; keep sessions in a store if you need a list`,
  );
}
