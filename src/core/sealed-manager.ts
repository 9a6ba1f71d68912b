import type { Awaitable, SessionStore } from "../stores/store.ts";
import type { KeyRing, Secret } from "../tokens/key-ring.ts";
import { COARSE_BUCKET, Sealer, sealRoom } from "../tokens/seal.ts";
import { isHandle } from "../tokens/token.ts";
import { after } from "./awaitable.ts";
import { CarriedRecords } from "./carried-records.ts";
import type { Clock } from "./clock.ts";
import { Committer } from "./committer.ts";
import { Endings } from "./endings.ts";
import { SojournError } from "./errors.ts";
import type { Events } from "./events.ts";
import type { Opening, SessionKeeper, TokenScope } from "./keeper.ts";
import { type Capabilities, type ManagerOptions, SessionManager } from "./manager.ts";
import { decodePayload } from "./record.ts";
import { decodeSealed, encodeSealed, MOST_INFLATED_BYTES, SEALED_RECORD_BYTES, sealedBytes } from "./sealed-record.ts";
import { stateOf } from "./session.ts";
import { StoreAccess } from "./store-access.ts";
import { Superseded } from "./superseded.ts";
import { hasExpired, touchIsDue } from "./timeouts.ts";
import { type Client, type OpenedSession, Visit, type VisitEnvironment } from "./visit.ts";

/** A store that keeps nothing, and has sessions travel in their tokens; `SealedStore` is one. */
export interface ClientSideStore {
  /** @internal */
  sealing(): {
    secret?: Secret;
    revocations?: SessionStore;
    chunks?: number;
    compress?: boolean;
  };
}

export interface SealedManagerOptions extends Omit<ManagerOptions, "store"> {
  ring: KeyRing;
  /** Where ended sessions are noted; without it a copy of a seal lives until its own deadline. */
  revocations: SessionStore | undefined;
  /** Whether long data is deflated before it is sealed. What others deflated opens in any case. */
  compress: boolean;
}

/** Clocks of an application's machines may differ by this much; a seal from further in the future is none. */
const SKEW_MS = 60_000;

/** Sessions that travel in their tokens: opens and seals them, and ends them as far as there is a list of endings. */
export class SealedManager implements SessionKeeper {
  readonly clock: Clock;
  readonly opensAtOnce: boolean;
  readonly #options: SealedManagerOptions;
  readonly #events: Events;
  readonly #sealers = new Map<string, Sealer>();
  readonly #superseded = new Superseded();
  readonly #endings: Endings | undefined;
  /** Sweeps, counts and closes the store of endings as any other. */
  readonly #list: SessionManager | undefined;
  /** No session begins in the millisecond in which all of its user's were ended: it could not be told from them. */
  #notBefore = 0;

  constructor(options: SealedManagerOptions) {
    const { clock, events, revocations, deadlines, limits } = options;
    this.#options = options;
    this.#events = events;
    this.clock = { now: () => Math.max(clock.now(), this.#notBefore), after: clock.after.bind(clock) };
    this.opensAtOnce = revocations === undefined || revocations.synchronousLoad === true;
    if (revocations !== undefined) {
      this.#endings = new Endings(new StoreAccess(revocations, clock, deadlines, events), this.clock, limits);
      this.#list = new SessionManager({ ...options, store: revocations });
    }
  }

  openFirst(texts: readonly string[], scope: TokenScope): Awaitable<Opening | undefined> {
    const from = (position: number): Awaitable<Opening | undefined> => {
      const text = texts[position];
      if (text === undefined) return undefined;
      const opening = this.#unseal(text, scope);
      if (opening === undefined) return from(position + 1);
      const { handle, record } = opening.opened;
      return after(this.#endings?.includes(handle, record) ?? false, (ended) => (ended ? from(position + 1) : opening));
    };
    return from(0);
  }

  useOnce(id: string, until: number): Awaitable<boolean> {
    if (this.#list === undefined) throw new TypeError("what works once needs a SealedStore with revocations");
    return this.#list.useOnce(id, until);
  }

  /** By the seal's own deadlines: a later one is in the client's hands. */
  isOpen({ handle, record, content }: OpenedSession): Awaitable<boolean> {
    const { createdAt, touchedAt, expiresAt } = record;
    const lifetime = { ...content.facts, createdAt, touchedAt, expiresAt };
    if (hasExpired(lifetime, this.clock.now(), this.#options.limits)) return false;
    return after(this.#endings?.includes(handle, record) ?? false, (ended) => !ended);
  }

  /** Only the seal says when its session was last used. */
  /** Sealed sessions are not told apart by their tokens: the last answer wins. */
  wasReplaced(): boolean {
    return false;
  }

  isQuiet(): boolean {
    return false;
  }

  visit(client: Client, opened: OpenedSession | undefined, scope: TokenScope): Visit {
    const { deadlines, limits, tokens, maxBytes, compress } = this.#options;
    const room = compress ? sealRoom(scope.room, COARSE_BUCKET) : sealRoom(scope.room);
    const { clock } = this;
    const events = this.#events;
    const store = new CarriedRecords(clock, this.#endings, opened);
    const committer = new Committer({
      access: new StoreAccess(store, clock, deadlines, events),
      clock,
      limits,
      tokens,
      events,
      maxBytes: Math.min(maxBytes, compress ? MOST_INFLATED_BYTES : room - SEALED_RECORD_BYTES),
      carried: {
        revocable: this.#endings !== undefined,
        ...(compress && { fits: (record) => sealedBytes(record, true) <= room }),
      },
    });
    const env: VisitEnvironment = {
      committer,
      clock,
      limits,
      tokens,
      events,
      superseded: this.#superseded,
      endAll: (userId) => this.revokeAll(userId),
    };
    return new Visit(env, client, opened);
  }

  tokenOf({ session, record }: Visit, { name }: TokenScope): string {
    const sealer = this.#sealerOf(name);
    if (!this.#options.compress) return sealer.seal(encodeSealed(session.id, record));
    return sealer.seal(encodeSealed(session.id, record, true), [], COARSE_BUCKET);
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
    if (typeof userId !== "string" || userId === "") throw new TypeError("userId must be a non-empty string");
    const kept = typeof except === "object" ? stateOf(except)?.handle : except;
    if (except !== undefined && kept === undefined) {
      throw new TypeError("revokeAll(userId, { except }): except must be a session or a handle");
    }
    await endings.endUser(userId, kept);
    this.#notBefore = this.clock.now() + 1;
    this.#events.emit("revoke", { userId, ...(kept !== undefined && { except: kept }), count: 1 });
    return 1;
  }

  /** Removes endings whose seals have died. */
  async prune(limit?: number): Promise<number> {
    return (await this.#list?.prune(limit)) ?? 0;
  }

  get capabilities(): Capabilities {
    return {
      atomicUpdate: false,
      indexed: false,
      revocable: this.#endings !== undefined,
      clientSide: true,
      mergesRequests: false,
    };
  }

  async close(): Promise<void> {
    await this.#list?.close();
  }

  #unseal(text: string, scope: TokenScope): Opening | undefined {
    const unsealed = this.#sealerOf(scope.name).open(text);
    const decoded = unsealed === undefined ? undefined : decodeSealed(unsealed.body);
    const content = decoded === undefined ? undefined : decodePayload(decoded.record.payload);
    if (unsealed === undefined || decoded === undefined || content === undefined) return undefined;
    const { limits } = this.#options;
    const now = this.clock.now();
    const { createdAt, touchedAt, expiresAt } = decoded.record;
    if (createdAt > now + SKEW_MS || touchedAt > now + SKEW_MS) return undefined;
    const { until, from, via } = content.facts;
    if (hasExpired({ until, from, createdAt, touchedAt, expiresAt }, now, limits)) return undefined;
    if (via !== scope.via) {
      this.#events.emit("transport-refused", { handle: decoded.handle });
      return undefined;
    }
    const { outdated } = unsealed;
    return {
      opened: { ...decoded, secret: "", content },
      outdated,
      renew: outdated || touchIsDue(touchedAt, now, limits),
    };
  }

  #sealerOf(name: string): Sealer {
    let sealer = this.#sealers.get(name);
    if (sealer === undefined) {
      sealer = new Sealer(this.#options.ring, { purpose: "cookie", name });
      this.#sealers.set(name, sealer);
    }
    return sealer;
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
