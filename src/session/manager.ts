import { after, isPromise } from "../contract/awaitable.ts";
import { type Clock, setImmediate } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import {
  type Awaitable,
  type IndexedStore,
  isIndexed,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type StoredSession,
} from "../contract/store.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { OwnerHashes } from "../crypto/owner.ts";
import { isHandle, sameHash, type TokenCodec, type TokenSource, type VerifiedToken } from "../crypto/token.ts";
import { Committer, goneError } from "./committer.ts";
import type { Events } from "./events.ts";
import type { Opening, OpenOptions, SessionKeeper, TokenScope } from "./keeper.ts";
import { Links } from "./links.ts";
import { decodePayload, type SessionFacts } from "./record.ts";
import { RunningRequests } from "./running.ts";
import { stateOf } from "./session.ts";
import { type SessionSnapshot, snapshotOf } from "./snapshot.ts";
import { type Deadlines, StoreAccess } from "./store-access.ts";
import { type Replaced, Superseded } from "./superseded.ts";
import { expiryOf, hasExpired, type Lifetime, type Timeouts, touchIsDue } from "./timeouts.ts";
import { checkedUserId } from "./user-id.ts";
import { type Client, type OpenedSession, type StoredState, Visit, type VisitEnvironment } from "./visit.ts";

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
  /** When the session ends if nobody uses it again. */
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
  /** Whether Sojourn merges the changes of parallel requests to one session. If not, the last response wins. */
  readonly mergesRequests: boolean;
  /** Whether a store keeps the data that does not fit a cookie. */
  readonly overflows: boolean;
}

export interface ManagerOptions {
  store: SessionStore;
  clock: Clock;
  limits: Timeouts;
  deadlines: Deadlines;
  tokens: TokenSource;
  events: Events;
  maxBytes: number;
  /** Binds sessions to their users, so that no record opens for another one. */
  ring?: KeyRing | undefined;
}

/** Expired records are swept about once a minute, at a random moment so that processes don't do it at once. */
const SWEEP_MS = 60_000;
const SWEEP_BATCH = 1_000;
/** So few that a store in this process stops nobody for longer than a request would. */
const SWEEP_BATCH_AT_ONCE = 250;
const LIST_PAGE = 1_000;

/** Opens sessions, ends them from outside, and answers for a user's devices: the place where the parts meet. */
export class SessionManager implements SessionKeeper {
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly events: Events;
  readonly #access: StoreAccess;
  readonly #limits: Timeouts;
  readonly #owners: OwnerHashes | undefined;
  readonly #env: VisitEnvironment;
  #links: Links | undefined = undefined;
  readonly #background = new Set<Promise<unknown>>();
  readonly running: RunningRequests | undefined;
  #cancelSweep: (() => void) | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  constructor({ store, clock, limits, deadlines, tokens, events, maxBytes, ring }: ManagerOptions) {
    this.store = store;
    this.clock = clock;
    this.events = events;
    this.#limits = limits;
    this.#access = new StoreAccess(store, clock, deadlines, events);
    this.#owners = ring === undefined ? undefined : new OwnerHashes(ring);
    this.#env = {
      committer: new Committer({ access: this.#access, clock, limits, tokens, events, maxBytes, owners: this.#owners }),
      clock,
      limits,
      tokens,
      events,
      superseded: new Superseded(this.#access, clock),
      endAll: (userId) => this.revokeAll(userId),
    };
    this.running = limits.idleMs === Number.POSITIVE_INFINITY ? undefined : new RunningRequests(clock, limits);
    if (isIndexed(store)) this.#sweepLater(store);
  }

  get opensAtOnce(): boolean {
    return this.store.synchronousLoad === true;
  }

  visit(client: Client, opened?: OpenedSession): Visit {
    return new Visit(this.#env, client, opened);
  }

  /** The absolute timeout, and the end of a remembered session, stay what they are. */
  use({ handle, record: { createdAt }, content: { facts } }: StoredState): void {
    if (facts.until !== undefined) return;
    const now = this.clock.now();
    this.#touch(handle, now, expiryOf({ ...facts, createdAt }, now, this.#limits));
  }

  tokenOf({ session, secret }: Visit, { codec }: TokenScope): string {
    return codec.format(session.id, secret);
  }

  /** Whether there is nothing to write down for this token unless its session is read. */
  isQuiet(text: string, { codec, former }: TokenScope): boolean {
    const token = (former?.codec ?? codec).verify(text);
    return token === undefined || this.clock.now() < token.quietUntil;
  }

  /**
   * The session that a token opens; `undefined` for a token of no session, or with the wrong secret, or whose record has
   * expired or is damaged. Plain if the store is synchronous.
   *
   * @param counts whether it counts as a use. Default: it does
   */
  open(token: VerifiedToken, via?: string, counts = true): Awaitable<OpenedSession | undefined> {
    return after(this.#access.load(token.handle), (stored) => {
      if (stored === undefined) return this.#noteIfReplaced(token);
      const record = this.#proven(token, stored);
      if (record === undefined) return undefined;
      const content = decodePayload(record.payload);
      if (content === undefined) {
        this.events.emit("damaged-record", { handle: token.handle });
        return undefined;
      }
      const now = this.clock.now();
      const { until, from } = content.facts;
      const { createdAt, touchedAt, expiresAt } = record;
      const lifetime = { until, from, createdAt, touchedAt, expiresAt };
      if (hasExpired(lifetime, now, this.#limits)) return undefined;
      if (content.facts.via !== via) {
        this.events.emit("transport-refused", { handle: token.handle });
        return undefined;
      }
      return {
        handle: token.handle,
        secret: token.secret,
        record: counts ? this.#touched(token, record, lifetime, now) : record,
        content,
      };
    });
  }

  /** Tries each text in turn; the first that opens a session wins. */
  openFirst(
    texts: readonly string[],
    { codec: own, via, former }: TokenScope,
    { counts = true }: OpenOptions = {},
  ): Awaitable<Opening | undefined> {
    const codec = former?.codec ?? own;
    if (texts.length > 1) this.#reportDuplicates(texts, codec);
    const from = (position: number): ReturnType<SessionManager["openFirst"]> => {
      for (let i = position; i < texts.length; i += 1) {
        const token = codec.verify(texts[i] ?? "");
        if (token === undefined) continue;
        return after(this.open(token, via, counts), (opened) => {
          if (opened === undefined) return from(i + 1);
          return { opened, outdated: token.outdated || former !== undefined, renew: false };
        });
      }
      return undefined;
    };
    return from(0);
  }

  wasReplaced(texts: readonly string[], { codec: own, former }: TokenScope): Replaced | false {
    const codec = former?.codec ?? own;
    const now = this.clock.now();
    for (const text of texts) {
      const replaced = codec.verify(text)?.replaced;
      if (replaced && now < replaced.until) return replaced;
    }
    return false;
  }

  links(): Links {
    if (this.store.capabilities?.atomicUpdate === false) {
      throw new TypeError(
        "query() needs a store that can refuse to create what is there already, or a link would work twice: a store written for express-session can't. Use one of sojourn's, such as SqliteStore or RedisStore",
      );
    }
    this.#links ??= new Links(this.#access, this.clock);
    return this.#links;
  }

  /** Ends a user's sign-in links, if there are any. */
  async endLinks(userId: string): Promise<void> {
    await this.#links?.endAll(userId);
  }

  touch(opened: OpenedSession): Awaitable<SessionRecord> {
    const { handle } = opened;
    return after(this.#living(opened), (living) => {
      if (living === undefined) throw goneError();
      const { record, lifetime } = living;
      const now = Math.max(this.clock.now(), record.touchedAt);
      const expiresAt = expiryOf(lifetime, now, this.#limits);
      return after(this.#access.touch(handle, now, expiresAt), (there) => {
        if (!there) throw goneError();
        return { ...record, touchedAt: now, expiresAt };
      });
    });
  }

  isOpen(opened: OpenedSession): Awaitable<boolean> {
    return after(this.#living(opened), (living) => living !== undefined);
  }

  /** A user's sessions, the newest use first. Give `current: req.session` to have it marked. */
  async list(userId: string, { current }: { current?: object } = {}): Promise<Device[]> {
    const currentHandle = current === undefined ? undefined : stateOf(current)?.handle;
    const devices: Device[] = [];
    for await (const { session, facts } of this.#openSessionsOf(checkedUserId(userId, "list(userId)"))) {
      const { device } = facts;
      devices.push({
        handle: session.handle,
        label: device?.label ?? "Unknown device",
        ip: device?.ip,
        createdAt: new Date(session.createdAt),
        lastUsedAt: new Date(session.touchedAt),
        expiresAt: new Date(session.expiresAt),
        current: session.handle === currentHandle,
      });
    }
    return devices;
  }

  /**
   * Ends one session from outside. With `userId` only if it is that user's: give it whenever the handle comes from a request.
   * @returns whether there was such a session
   */
  async revoke(handle: string, options: { userId?: string } = {}): Promise<boolean> {
    // A user ID that turned out to be missing must not mean "anyone's".
    const userId = Object.hasOwn(options, "userId")
      ? checkedUserId(options.userId, "revoke(handle, { userId })")
      : undefined;
    if (typeof handle !== "string" || !isHandle(handle)) return false;
    if (userId !== undefined && (await this.#access.load(handle))?.userId !== userId) return false;
    const ended = await this.#env.superseded.end(handle);
    if (ended) this.events.emit("revoke", { handle, ...(userId !== undefined && { userId }), count: 1 });
    return ended;
  }

  /** Ends all sessions of a user, except one (`req.session`, or a handle). @returns how many */
  async revokeAll(userId: string, { except }: { except?: object | string } = {}): Promise<number> {
    const store = this.#indexed("revokeAll");
    const kept = typeof except === "string" ? except : stateOf(except)?.handle;
    if (except !== undefined && kept === undefined) {
      throw new TypeError("revokeAll(userId, { except }): except must be a session or a handle");
    }
    const query = { userId: checkedUserId(userId, "revokeAll(userId)"), ...(kept !== undefined && { except: kept }) };
    await this.endLinks(query.userId);
    const count = await this.#access.commit("deleteAll", () => store.deleteAll(query));
    if (count > 0) this.events.emit("revoke", { ...query, count });
    return count;
  }

  /** A session from outside its requests, by its handle; `undefined` if there is none. */
  async get(handle: string): Promise<SessionSnapshot | undefined> {
    if (typeof handle !== "string" || !isHandle(handle)) return undefined;
    const record = await this.#access.load(handle);
    const content = record === undefined ? undefined : decodePayload(record.payload);
    if (record === undefined || content === undefined || this.#hasEnded(record, content.facts)) return undefined;
    return snapshotOf(handle, record, content, () => this.events.emit("damaged-record", { handle }));
  }

  /**
   * How many sessions a user has, as `list` shows them, at its price; or how many are stored of everyone, among which may be some
   * that have ended and were not swept yet.
   */
  async count(userId?: string): Promise<number> {
    const store = this.#indexed("count");
    if (userId === undefined) return this.#access.read("count", () => store.count({}));
    let count = 0;
    for await (const _ of this.#openSessionsOf(checkedUserId(userId, "count(userId)"))) count += 1;
    return count;
  }

  /** Removes expired records now, at most `limit`; it is done by itself about once a minute. @returns how many */
  async prune(limit: number = SWEEP_BATCH): Promise<number> {
    const store = this.#indexed("prune");
    return this.#access.commit("prune", () => store.prune(limit));
  }

  get capabilities(): Capabilities {
    const { capabilities } = this.store;
    return {
      ...capabilities,
      indexed: isIndexed(this.store),
      revocable: true,
      clientSide: false,
      mergesRequests: true,
      overflows: false,
    };
  }

  /** Waits for what is being written, stops sweeping, and closes the store. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.running?.close();
      this.#cancelSweep?.();
      this.#cancelSweep = undefined;
      await Promise.allSettled(this.#background);
      await this.#access.idle();
      await this.store.close();
    })();
    return this.#closing;
  }

  /**
   * The record, if the token's secret is its session's, made for the user whom it names. What follows for the token is remembered, so that a
   * visitor's next request needs no MAC. The hash is the newest key's, which the next change writes.
   */
  #proven(token: VerifiedToken, record: SessionRecord): SessionRecord | undefined {
    const { userId, createdAt, secretHash } = record;
    if (userId === null || this.#owners === undefined) {
      return sameHash(secretHash, token.secretHash) ? record : undefined;
    }
    if (token.owner?.userId !== userId || token.owner.createdAt !== createdAt) {
      token.owner = { userId, createdAt, hashes: this.#owners.all(token.secretHash, { userId, createdAt }) };
    }
    const { hashes } = token.owner;
    let isProven = false;
    for (const one of hashes) if (sameHash(secretHash, one)) isProven = true;
    const [newest] = hashes;
    if (!isProven || newest === undefined) {
      // The token is of a session of this handle, so the record was changed by somebody else.
      this.events.emit("damaged-record", { handle: token.handle });
      return undefined;
    }
    return { ...record, secretHash: newest };
  }

  /** Asked once for each token: whether its session is gone because another one took its place. */
  #noteIfReplaced(token: VerifiedToken): Awaitable<undefined> {
    if (token.replaced !== undefined) return undefined;
    return after(this.#env.superseded.find(token), (replaced) => {
      token.replaced = replaced ?? false;
      return undefined;
    });
  }

  /** Writes the last use down when that is due; nobody waits for it. */
  #touched(token: VerifiedToken, record: SessionRecord, lifetime: Lifetime, now: number): SessionRecord {
    if (!touchIsDue(record.touchedAt, now, this.#limits)) {
      token.quietUntil = record.touchedAt + this.#limits.touchAfterMs;
      return record;
    }
    const expiresAt = expiryOf(lifetime, now, this.#limits);
    token.quietUntil = now + this.#limits.touchAfterMs;
    this.#touch(token.handle, now, expiresAt);
    return { ...record, touchedAt: now, expiresAt };
  }

  #touch(handle: string, touchedAt: number, expiresAt: number): void {
    try {
      const work = this.#access.touch(handle, touchedAt, expiresAt);
      if (isPromise(work)) this.#inBackground(work);
    } catch {
      // The store's failure is an event already; the session has lost some idle time, and the request nothing.
    }
  }

  /** A session as it is stored now, unless it has ended. */
  #living({
    handle,
    record: { userId },
  }: OpenedSession): Awaitable<{ record: SessionRecord; lifetime: Lifetime } | undefined> {
    return after(this.#access.load(handle), (record) => {
      const facts = record?.userId === userId ? decodePayload(record.payload)?.facts : undefined;
      if (record === undefined || facts === undefined) return undefined;
      if (this.#hasEnded(record, facts)) return undefined;
      return { record, lifetime: { ...facts, createdAt: record.createdAt } };
    });
  }

  #inBackground(work: Promise<unknown>): void {
    const settled: Promise<unknown> = work
      .catch(() => undefined)
      .then(() => {
        this.#background.delete(settled);
      });
    this.#background.add(settled);
  }

  #reportDuplicates(texts: readonly string[], codec: TokenCodec): void {
    const different = new Set(texts.filter((text) => codec.verify(text) !== undefined));
    if (different.size > 1) this.events.emit("duplicate-cookie", { count: different.size });
  }

  /** Whether requests refuse a session, whose timeouts may have been shortened since it was stored. */
  #hasEnded({ createdAt, touchedAt, expiresAt }: SessionRecord, facts: SessionFacts): boolean {
    return hasExpired({ ...facts, createdAt, touchedAt, expiresAt }, this.clock.now(), this.#limits);
  }

  /** Those that a request would open: neither ended nor damaged. */
  async *#openSessionsOf(userId: string): AsyncGenerator<{ session: StoredSession; facts: SessionFacts }> {
    const store = this.#indexed("list");
    let cursor: string | undefined;
    do {
      const query = { userId, limit: LIST_PAGE, ...(cursor !== undefined && { cursor }) };
      const page = await this.#access.read("list", () => store.list(query));
      for (const session of page.sessions) {
        const facts = decodePayload(session.payload)?.facts;
        if (facts !== undefined && !this.#hasEnded(session, facts)) yield { session, facts };
      }
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  #sweepLater(store: IndexedStore): void {
    this.#cancelSweep = this.clock.after(SWEEP_MS * (0.5 + Math.random()), () => {
      this.#inBackground(
        this.#sweep(store).finally(() => {
          if (this.#closing === undefined) this.#sweepLater(store);
        }),
      );
    });
  }

  /** Batch after batch, with other work in between, until no full batch is left. */
  async #sweep(store: IndexedStore): Promise<void> {
    const batch = store.synchronousLoad === true ? SWEEP_BATCH_AT_ONCE : SWEEP_BATCH;
    while (this.#closing === undefined) {
      const removed = await this.#access.commit("prune", () => store.prune(batch));
      if (removed < batch) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #indexed(method: string): IndexedStore {
    if (isIndexed(this.store)) return this.store;
    throw new SojournError(
      "NO_USER_INDEX",
      `${method} needs a store that knows its users; this one only loads and saves`,
    );
  }
}
