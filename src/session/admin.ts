import type { Device } from "../contract/device.ts";
import { isIndexed, type SessionQuery, type StoreCapabilities } from "../contract/store.ts";
import { isHandle } from "../crypto/token.ts";
import { isActing } from "./acting.ts";
import { checkedLink } from "./authentication.ts";
import { decodePayload } from "./content.ts";
import type { SessionParts } from "./context.ts";
import { hasEnded, listDevices, openSessions } from "./devices.ts";
import { endAll } from "./end.ts";
import { type Demands, requireFreshFor } from "./freshness.ts";
import { storePending } from "./pending.ts";
import { type ErasedSessions, type ExportedSession, eraseSessions, exportSessions } from "./personal-data.ts";
import { endSession } from "./rotated-handles.ts";
import { stateOf } from "./session.ts";
import { type SessionSnapshot, snapshotOf } from "./snapshot.ts";
import type { StoreAccess } from "./store-access.ts";
import { BATCH } from "./sweeper.ts";
import { checkedUserId } from "./user-id.ts";

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

/** Options for `sessions.list`. */
export interface ListOptions {
  /** Marks this session as `current: true`: pass `req.session`. */
  current?: object | undefined;
  /** Whether to list the sessions of others who impersonate the user, too. Default `false`. */
  impersonations?: boolean | undefined;
}

/** @internal Manages sessions outside their requests. `Sessions` documents the methods. */
export interface SessionAdmin {
  readonly capabilities: Capabilities;
  list(of: SessionsOf, options?: ListOptions): Promise<Device[]>;
  get(handle: string): Promise<SessionSnapshot | undefined>;
  count(of?: SessionsOf): Promise<number>;
  revoke(handle: string, options?: { userId?: string; by?: object }): Promise<boolean>;
  revokeAll(of: SessionsOf, options?: { except?: object | string; by?: object }): Promise<number>;
  prune(limit?: number): Promise<number>;
  export(userId: string): Promise<ExportedSession[]>;
  erase(userId: string): Promise<ErasedSessions>;
}

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

  async list(of: SessionsOf, { current, impersonations }: ListOptions = {}): Promise<Device[]> {
    const query = queryOf(of, "list");
    this.#access.indexed("list");
    await storePending(this.#parts, query);
    return listDevices(this.#parts, this.#access, query, { current: stateOf(current)?.handle, impersonations });
  }

  async get(handle: string): Promise<SessionSnapshot | undefined> {
    if (typeof handle !== "string" || !isHandle(handle)) return undefined;
    await storePending(this.#parts, { handle });
    const record = await this.#access.load(handle);
    const content = record === undefined ? undefined : decodePayload(record.payload);
    if (record === undefined || content === undefined || hasEnded(this.#parts, record, content.meta)) return undefined;
    const { actor } = content.meta;
    if (actor !== undefined && !(await isActing(this.#access, actor))) return undefined;
    const { format } = this.#parts;
    const today = format === undefined ? content : format.bring(handle, content);
    if (today.isSetAside === true) return undefined;
    return snapshotOf(handle, record, today, () => this.#parts.events.emit("damaged-record", { handle }));
  }

  async count(of?: SessionsOf): Promise<number> {
    const store = this.#access.indexed("count");
    if (of === undefined) return this.#access.read("count", () => store.count({}));
    const query = queryOf(of, "count");
    await storePending(this.#parts, query);
    let count = 0;
    for await (const _ of openSessions(this.#parts, this.#access, query)) count += 1;
    return count;
  }

  async revoke(handle: string, options: { userId?: string; by?: object } = {}): Promise<boolean> {
    const userId = ownerOf(this.#parts, options);
    if (typeof handle !== "string" || !isHandle(handle)) return false;
    await storePending(this.#parts, { handle });
    if (userId !== undefined && (await this.#access.load(handle))?.userId !== userId) return false;
    const ended = await endSession(this.#access, handle);
    if (ended) this.#parts.events.emit("revoke", { handle, ...(userId !== undefined && { userId }), count: 1 });
    return ended;
  }

  async revokeAll(of: SessionsOf, options: { except?: object | string; by?: object } = {}): Promise<number> {
    this.#access.indexed("revokeAll");
    const query = exceptQuery(this.#parts, of, options);
    await storePending(this.#parts, query);
    return endAll(this.#parts, this.#access, query);
  }

  async prune(limit: number = BATCH): Promise<number> {
    const store = this.#access.indexed("prune");
    return this.#access.commit("prune", () => store.prune(limit));
  }

  async export(userId: string): Promise<ExportedSession[]> {
    return exportSessions(this.#parts, this.#access, userId);
  }

  async erase(userId: string): Promise<ErasedSessions> {
    return eraseSessions(this.#parts, this.#access, userId);
  }
}

/** A user's ID, or the link of logins. */
export type SessionsOf = string | { readonly link: string };

/** Checks whose sessions are meant. @throws TypeError */
function queryOf(of: unknown, method: string): { userId: string } | { link: string } {
  const isLink = typeof of === "object" && of !== null && "link" in of;
  if (isLink && "userId" in of && of.userId !== undefined)
    throw new TypeError(`${method}: give a userId or { link }, not both`);
  if (!isLink) return { userId: checkedUserId(of, `${method}(userId)`) };
  return { link: checkedLink(of.link, `${method}({ link })`) };
}

/**
 * @internal Checks the arguments of `revokeAll`.
 * @throws TypeError
 * @throws SojournError NOT_LOGGED_IN, NOT_FRESH for the session that asks
 */
export function exceptQuery(
  parts: Demands,
  of: unknown,
  options: { except?: object | string; by?: object },
): SessionQuery & { except?: string } {
  const { except } = options;
  const query = queryOf(of, "revokeAll");
  const own = typeof except === "string" ? undefined : stateOf(except);
  const kept = typeof except === "string" ? except : own?.handle;
  if (except !== undefined && kept === undefined) {
    throw new TypeError("revokeAll(userId, { except }): except must be a session or a handle");
  }
  if (Object.hasOwn(options, "by")) requireAsker(parts, options.by, "revokeAll");
  // A request that keeps its own session ends the others of its user.
  else if (own !== undefined && "userId" in query && own.record.userId === query.userId)
    requireFreshFor(parts, own, "revokeAll");
  return { ...query, ...(kept !== undefined && { except: kept }) };
}

/**
 * Returns whose session may be revoked; `undefined` for anyone's.
 * @throws TypeError
 * @throws SojournError NOT_LOGGED_IN, NOT_FRESH for the session that asks
 */
function ownerOf(parts: Demands, options: { userId?: string; by?: object }): string | undefined {
  const asker = Object.hasOwn(options, "by") ? requireAsker(parts, options.by, "revoke") : undefined;
  // An undefined user ID must not mean "anyone's".
  if (!Object.hasOwn(options, "userId")) return asker;
  return checkedUserId(options.userId, "revoke(handle, { userId })");
}

/** Returns the user of the session in whose name others are ended. */
function requireAsker(parts: Demands, by: object | undefined, method: string): string | undefined {
  const state = stateOf(by);
  if (state === undefined) throw new TypeError(`${method}({ by }): by must be a session, such as req.session`);
  requireFreshFor(parts, state, method);
  return state.record.userId ?? undefined;
}
