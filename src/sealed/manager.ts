import { after } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionStore } from "../contract/store.ts";
import type { KeyRing, Secret } from "../crypto/key-ring.ts";
import { Sealer, sealRoom } from "../crypto/seal.ts";
import { isHandle } from "../crypto/token.ts";
import { Committer, type CommitterOptions, undeliverableError } from "../session/committer.ts";
import { Events } from "../session/events.ts";
import type { Opening, SessionKeeper, TokenScope } from "../session/keeper.ts";
import type { Links } from "../session/links.ts";
import { type Capabilities, type ManagerOptions, SessionManager } from "../session/manager.ts";
import { SKEW_MS } from "../session/notes.ts";
import { decodePayload } from "../session/record.ts";
import { stateOf } from "../session/session.ts";
import { type Deadlines, StoreAccess } from "../session/store-access.ts";
import { Superseded } from "../session/superseded.ts";
import { hasExpired, touchIsDue } from "../session/timeouts.ts";
import { checkedUserId } from "../session/user-id.ts";
import { type Client, type OpenedSession, Visit, type VisitEnvironment } from "../session/visit.ts";
import { encrypted } from "../wrap/encrypted.ts";
import { CarriedRecords } from "./carried-records.ts";
import { Endings } from "./endings.ts";
import { Overflow } from "./overflow.ts";
import { elsewhereBytes, SEALED_RECORD_BYTES, type Sealed, sealedBytes } from "./record.ts";
import { SealedTokens, type Unsealed } from "./tokens.ts";

/** A store that keeps nothing, and has sessions travel in their tokens; `SealedStore` is one. */
export interface ClientSideStore {
  /** @internal */
  sealing(): {
    secret?: Secret | undefined;
    revocations?: SessionStore | undefined;
    chunks?: number | undefined;
    overflow?: SessionStore | undefined;
  };
}

export interface SealedManagerOptions extends Omit<ManagerOptions, "store"> {
  ring: KeyRing;
  /** Where ended sessions are noted; without it a copy of a seal lives until its own deadline. */
  revocations: SessionStore | undefined;
  /** Where data is kept that a token has no room for; without it that is an error. */
  overflow: SessionStore | undefined;
}

/** The stores beside the tokens have doors of their own, which keep the deadlines and tell of failures. */
const NO_DEADLINES: Deadlines = { readMs: Number.POSITIVE_INFINITY, commitMs: Number.POSITIVE_INFINITY };
const NO_LISTENERS = new Events();

/** Sessions that travel in their tokens: opens and seals them, and ends them as far as there is a list of endings. */
export class SealedManager implements SessionKeeper {
  readonly clock: Clock;
  readonly opensAtOnce: boolean;
  readonly #options: SealedManagerOptions;
  readonly #events: Events;
  /** By the cookie's or the header's name. */
  readonly #tokens = new Map<string, SealedTokens>();
  readonly #endings: Endings | undefined;
  readonly #overflow: Overflow | undefined;
  /** What visits have in their hands. */
  readonly #carried = new WeakMap<Visit, CarriedRecords>();
  /** The stores beside the tokens, swept, counted and closed as any other. */
  readonly #stores: readonly SessionManager[];

  constructor(options: SealedManagerOptions) {
    const { clock, events, revocations, overflow, deadlines, limits, ring, tokens } = options;
    this.#options = options;
    this.#events = events;
    this.clock = clock;
    const stores = [...new Set([revocations, overflow])].filter((store) => store !== undefined);
    this.opensAtOnce = stores.every((store) => store.synchronousLoad === true);
    this.#stores = stores.map((store) => new SessionManager({ ...options, store }));
    if (revocations !== undefined) {
      this.#endings = new Endings(new StoreAccess(revocations, clock, deadlines, events), this.clock, limits);
    }
    if (overflow !== undefined) {
      const store = encrypted(overflow, ring, "overflow");
      this.#overflow = new Overflow(new StoreAccess(store, clock, deadlines, events), tokens);
    }
  }

  openFirst(texts: readonly string[], scope: TokenScope): Awaitable<Opening | undefined> {
    const from = (position: number): Awaitable<Opening | undefined> => {
      const text = texts[position];
      if (text === undefined) return undefined;
      const unsealed = this.#unseal(text, scope);
      if (unsealed === undefined) return from(position + 1);
      const { handle, record } = unsealed.sealed;
      return after(this.#endings?.includes(handle, record) ?? false, (ended) => {
        if (ended) return from(position + 1);
        return after(this.#opening(unsealed, scope), (opening) => opening ?? from(position + 1));
      });
    };
    return from(0);
  }

  links(): Links {
    const [revocations] = this.#stores;
    if (this.#endings === undefined || revocations === undefined) {
      throw new TypeError(
        "query() needs a store that remembers which links were used: new SealedStore({ revocations: store })",
      );
    }
    return revocations.links();
  }

  /** Only an answer could bring a seal with a later deadline. */
  touch(): never {
    throw undeliverableError();
  }

  /** By the seal's own deadlines, because a later one is in the client's hands; and by what the stores know. */
  isOpen({ handle, record, content, elsewhere }: OpenedSession): Awaitable<boolean> {
    const { createdAt, touchedAt, expiresAt } = record;
    const lifetime = { ...content.facts, createdAt, touchedAt, expiresAt };
    if (hasExpired(lifetime, this.clock.now(), this.#options.limits)) return false;
    return after(this.#endings?.includes(handle, record) ?? false, (ended) => {
      if (ended || elsewhere === undefined) return !ended;
      return after(this.#overflow?.payload(elsewhere, handle, record.version), (payload) => payload !== undefined);
    });
  }

  /** Sealed sessions are not told apart by their tokens: the last answer wins. */
  wasReplaced(): false {
    return false;
  }

  /** Only the seal says when its session was last used. */
  isQuiet(): boolean {
    return false;
  }

  visit(client: Client, opened: OpenedSession | undefined, scope: TokenScope): Visit {
    const { limits, tokens, maxBytes } = this.#options;
    const room = sealRoom(scope.room);
    const { clock } = this;
    const events = this.#events;
    const records = this.#overflow;
    const store = new CarriedRecords({
      clock,
      endings: this.#endings,
      overflow: records === undefined ? undefined : { records, fits: (record) => sealedBytes(record) <= room },
      came: opened,
    });
    const access = new StoreAccess(store, clock, NO_DEADLINES, NO_LISTENERS);
    const committer = new Committer({
      access,
      clock,
      limits,
      tokens,
      events,
      ...this.#limitsFor(room, maxBytes),
    });
    const env: VisitEnvironment = {
      committer,
      clock,
      limits,
      tokens,
      events,
      superseded: new Superseded(access, clock),
      endAll: (userId) => this.revokeAll(userId),
    };
    const visit = new Visit(env, client, opened);
    this.#carried.set(visit, store);
    return visit;
  }

  tokenOf(visit: Visit, { name }: TokenScope): string {
    const { session } = visit;
    const carried = this.#carried.get(visit);
    const createdAt = carried?.beginning(session.id);
    const record = createdAt === undefined ? visit.record : { ...visit.record, createdAt };
    return this.#tokensOf(name).seal(session.id, record, carried?.elsewhere(session.id));
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

  /** Ends one session and all copies of its seal. @returns `false` if it was ended before; whether it ever was, nobody knows */
  async revoke(handle: string, { userId }: { userId?: string } = {}): Promise<boolean> {
    const endings = this.#requireEndings("revoke");
    if (userId !== undefined) {
      throw new SojournError(
        "NO_USER_INDEX",
        "revoke(handle, { userId }): whose a sealed session is, only its cookie says. Use revokeAll(userId), or revoke(handle) once you know whose it is: note the handles that the event login tells",
      );
    }
    if (typeof handle !== "string" || !isHandle(handle)) return false;
    const ended = await endings.end(handle);
    if (ended) this.#events.emit("revoke", { handle, count: 1 });
    return ended;
  }

  /**
   * Ends all sessions of a user that began until now, except one.
   *
   * @returns how many endings were noted: 1, for all of them; how many sessions there were, nobody knows. The event says the same.
   */
  async revokeAll(userId: string, { except }: { except?: object | string } = {}): Promise<number> {
    const endings = this.#requireEndings("revokeAll");
    checkedUserId(userId, "revokeAll(userId)");
    const kept = typeof except === "object" ? stateOf(except)?.handle : except;
    if (except !== undefined && kept === undefined) {
      throw new TypeError("revokeAll(userId, { except }): except must be a session or a handle");
    }
    const [revocations] = this.#stores;
    await revocations?.endLinks(userId);
    await endings.endUser(userId, kept);
    this.#events.emit("revoke", { userId, ...(kept !== undefined && { except: kept }), count: 1 });
    return 1;
  }

  /** Removes endings whose seals have died, and what was kept for others. */
  async prune(limit?: number): Promise<number> {
    let pruned = 0;
    for (const store of this.#stores) pruned += await store.prune(limit);
    return pruned;
  }

  get capabilities(): Capabilities {
    return {
      atomicUpdate: false,
      indexed: false,
      revocable: this.#endings !== undefined,
      clientSide: true,
      mergesRequests: false,
      overflows: this.#overflow !== undefined,
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()));
  }

  #unseal(text: string, scope: TokenScope): Unsealed | undefined {
    const unsealed = this.#tokensOf((scope.former ?? scope).name).open(text);
    if (unsealed === undefined) return undefined;
    const { createdAt, touchedAt, expiresAt } = unsealed.sealed.record;
    const now = this.clock.now();
    // A seal from further in the future than clocks differ is none. A session may begin later than its seal was made, see `Endings`.
    if (createdAt > now + 3 * SKEW_MS || touchedAt > now + SKEW_MS || expiresAt <= now) return undefined;
    return scope.former === undefined ? unsealed : { ...unsealed, outdated: true };
  }

  #opening({ sealed, outdated }: Unsealed, scope: TokenScope): Awaitable<Opening | undefined> {
    const { handle, record, elsewhere } = sealed;
    if (elsewhere === undefined) return this.#opened(sealed, outdated, scope);
    return after(this.#overflow?.payload(elsewhere, handle, record.version), (payload) =>
      payload === undefined ? undefined : this.#opened({ ...sealed, record: { ...record, payload } }, outdated, scope),
    );
  }

  /** Deadlines and transport are for the payload to say. */
  #opened(sealed: Sealed, outdated: boolean, scope: TokenScope): Opening | undefined {
    const { handle, record } = sealed;
    const content = decodePayload(record.payload);
    if (content === undefined) {
      this.#events.emit("damaged-record", { handle });
      return undefined;
    }
    const { limits } = this.#options;
    const now = this.clock.now();
    const { createdAt, touchedAt, expiresAt } = record;
    const { until, from, via } = content.facts;
    if (hasExpired({ until, from, createdAt, touchedAt, expiresAt }, now, limits)) return undefined;
    if (via !== scope.via) {
      this.#events.emit("transport-refused", { handle });
      return undefined;
    }
    return {
      opened: { ...sealed, secret: "", content },
      outdated,
      renew: outdated || touchIsDue(touchedAt, now, limits),
    };
  }

  /** How large a session may be. */
  #limitsFor(room: number, maxBytes: number): Pick<CommitterOptions, "maxBytes" | "carried"> {
    const revocable = this.#endings !== undefined;
    if (this.#overflow !== undefined) {
      const tooLarge: NonNullable<CommitterOptions["carried"]>["tooLarge"] = (record) =>
        elsewhereBytes(record) <= room ? undefined : "its cookie, because of its user's ID";
      return { maxBytes, carried: { revocable, tooLarge, remedy: "raise maxBytes" } };
    }
    const remedy = "raise the store's chunks, or give it overflow";
    return { maxBytes: Math.min(maxBytes, room - SEALED_RECORD_BYTES), carried: { revocable, remedy } };
  }

  #tokensOf(name: string): SealedTokens {
    let tokens = this.#tokens.get(name);
    if (tokens === undefined) {
      tokens = new SealedTokens(new Sealer(this.#options.ring, { purpose: "cookie", name }));
      this.#tokens.set(name, tokens);
    }
    return tokens;
  }

  #requireEndings(method: string): Endings {
    if (this.#endings !== undefined) return this.#endings;
    throw new SojournError(
      "NO_USER_INDEX",
      `${method} needs a list of endings, because sealed sessions live in their cookies: new SealedStore({ secret, revocations: store })`,
    );
  }
}

function unlisted(method: string): SojournError {
  return new SojournError(
    "NO_USER_INDEX",
    `${method}: sealed sessions live in their cookies, and nobody has a list of them; to have one, keep sessions in a store`,
  );
}
