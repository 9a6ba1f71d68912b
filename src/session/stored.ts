import { goneError } from "../contract/errors.ts";
import { type Awaitable, isIndexed, type SessionRecord, type SessionStore } from "../contract/store.ts";
import { after, type Clock, isPromise } from "../contract/time.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { OwnerHashes } from "../crypto/owner.ts";
import { sameHash, type TokenSource, type VerifiedToken } from "../crypto/token.ts";
import { isActing } from "./acting.ts";
import type { CheckedToken, Opening, SessionBackend, TokenScope } from "./backend.ts";
import { Committer } from "./commit.ts";
import { type Content, decodePayload } from "./content.ts";
import { type OpenedSession, type RequestFacts, SessionContext, type SessionParts } from "./context.ts";
import type { DataFormat } from "./data-format.ts";
import type { Events } from "./events.ts";
import { Links } from "./links.ts";
import type { DeviceInfo } from "./meta.ts";
import type { Policy } from "./policy.ts";
import { Retries } from "./retry.ts";
import { findRotated, type RotatedToken } from "./rotated-handles.ts";
import { RunningRequests } from "./running.ts";
import { type Deadlines, StoreAccess, type Stored } from "./store-access.ts";
import { Sweeper } from "./sweeper.ts";
import { expiryOf, hasExpired, type Lifetime, type Timeouts, touchIsDue } from "./timeouts.ts";
import { questionAbout, type Validation, type Verdict } from "./validation.ts";

export interface BackendOptions {
  clock: Clock;
  limits: Timeouts;
  deadlines: Deadlines;
  tokens: TokenSource;
  events: Events;
  policy?: Policy;
  format?: DataFormat | undefined;
  maxBytes: number;
  deviceOf(request: object): DeviceInfo;
}

/** Opens sessions that live in a store, and makes the contexts of requests. */
export class StoredSessions implements SessionBackend {
  readonly clock: Clock;
  readonly isSynchronous: boolean;
  readonly running: RunningRequests | undefined;
  readonly access: StoreAccess;
  readonly parts: SessionParts;
  readonly #owners: OwnerHashes | undefined;
  readonly #sweeper: Sweeper | undefined;
  readonly #background = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined = undefined;

  constructor(options: BackendOptions & { store: SessionStore; ring?: KeyRing | undefined }) {
    const { store, clock, limits, deadlines, tokens, events, policy = {}, format, maxBytes, ring } = options;
    this.clock = clock;
    this.isSynchronous = store.synchronousLoad === true;
    this.access = new StoreAccess(store, clock, deadlines, events, format);
    this.#owners = ring === undefined ? undefined : new OwnerHashes(ring);
    const retries = new Retries(clock, events, deadlines.commitMs);
    const committer = new Committer({ clock, limits, events, retries, maxBytes, format, owners: this.#owners });
    const shared = { committer, retries, clock, limits, tokens, events, policy, format, deviceOf: options.deviceOf };
    this.parts = { ...shared, pending: [], links: undefined };
    this.running = limits.idleMs === Number.POSITIVE_INFINITY ? undefined : new RunningRequests(clock, limits);
    this.#sweeper = isIndexed(store) ? new Sweeper(clock, this.access, store) : undefined;
  }

  context(request: RequestFacts, opened: OpenedSession | undefined): SessionContext {
    return new SessionContext(this.parts, this.access, request, opened);
  }

  verify(text: string, { codec, former }: TokenScope): VerifiedToken | undefined {
    return (former?.codec ?? codec).verify(text);
  }

  get validation(): Validation | undefined {
    return this.parts.policy.validation;
  }

  isOpeningDue({ handle, touchDueAt }: VerifiedToken, counts: boolean): boolean {
    return (counts && this.clock.now() >= touchDueAt) || this.validation?.isDue(handle) === true;
  }

  /**
   * Opens a token's session, without a promise for a synchronous store. Returns `undefined` for a
   * wrong secret too, and for an expired or damaged record.
   */
  open(token: VerifiedToken, scope: TokenScope, counts: boolean): Awaitable<Opening | undefined> {
    return after(this.access.load(token.handle), (stored) => {
      if (stored === undefined) return this.#noteRotation(token);
      const record = this.#proven(token, stored);
      if (record === undefined) return undefined;
      const now = this.clock.now();
      const content = openContent(token.handle, record, scope.transport, this.parts, now);
      if (content === undefined) return undefined;
      const { actor } = content.meta;
      if (actor === undefined) return this.#opening(token, scope, record, content, counts ? now : undefined);
      return after(isActing(this.access, actor), (isThere) =>
        isThere ? this.#opening(token, scope, record, content, counts ? now : undefined) : this.#noteRotation(token),
      );
    });
  }

  validate(opened: OpenedSession): Awaitable<Verdict> {
    const { access, validation } = this;
    if (validation === undefined) return "valid";
    if (opened.record.userId === null) return validation.pass(opened.handle);
    return validation.check(questionAbout(access, opened));
  }

  rotated({ rotated }: VerifiedToken): RotatedToken | undefined {
    return rotated && this.clock.now() < rotated.until ? rotated : undefined;
  }

  isOpen(opened: OpenedSession): Awaitable<boolean> {
    return after(this.#living(opened), (living) => living !== undefined);
  }

  touch(opened: OpenedSession): Awaitable<SessionRecord> {
    return after(this.#living(opened), (living) => {
      if (living === undefined) throw goneError();
      const { record, lifetime } = living;
      const now = Math.max(this.clock.now(), record.touchedAt);
      const expiresAt = expiryOf(lifetime, now, this.parts.limits);
      return after(this.access.touch(opened.handle, now, expiresAt), (isThere) => {
        if (!isThere) throw goneError();
        return { ...record, touchedAt: now, expiresAt };
      });
    });
  }

  /** Stores a use. Neither the absolute timeout nor a remembered session's fixed end moves. */
  use({ handle, record: { createdAt }, content: { meta } }: Stored & { readonly handle: string }): void {
    if (meta.endsAt !== undefined) return;
    const now = this.clock.now();
    this.#touch(handle, now, expiryOf({ ...meta, createdAt }, now, this.parts.limits));
  }

  tokenOf({ state }: SessionContext, { codec }: TokenScope): string {
    return codec.format(state.handle, state.secret);
  }

  links(): Links {
    if (this.access.store.capabilities?.atomicUpdate === false) {
      throw new TypeError(
        "query() needs a store that never creates a record twice, or a link would work twice. A store written for express-session can't ensure that: use a store of Sojourn, such as SqliteStore or RedisStore",
      );
    }
    this.parts.links ??= new Links(this.access, this.clock);
    return this.parts.links;
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.running?.close();
      await this.#sweeper?.close();
      await Promise.allSettled(this.#background);
      await this.access.idle();
      await this.access.store.close();
    })();
    return this.#closing;
  }

  /**
   * Returns the record if the token's secret belongs to this session and to the user in the record.
   * The token caches the result, so a visitor's next request needs no MAC. The returned hash is the
   * newest key's; the next change stores it.
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
    if (isProven && newest !== undefined) return { ...record, secretHash: newest };
    // The token belongs to a session of this handle, so the record was changed by an outsider.
    this.parts.events.emit("damaged-record", { handle: token.handle });
    return undefined;
  }

  /** @param usedAt `undefined` if that is no use of the session */
  #opening(
    token: VerifiedToken,
    { former }: TokenScope,
    record: SessionRecord,
    content: Content,
    usedAt: number | undefined,
  ): Opening {
    const { handle, secret, outdated } = token;
    const used = usedAt === undefined ? record : this.#used(token, record, content, usedAt);
    return {
      opened: { handle, secret, record: used, content },
      outdated: outdated || former !== undefined,
      renew: false,
    };
  }

  /** Finds out, once for each token, whether a rotation replaced its session. */
  #noteRotation(token: VerifiedToken): Awaitable<undefined> {
    if (token.rotated !== undefined) return undefined;
    return after(findRotated(this.access, token), (rotated) => {
      token.rotated = rotated ?? false;
      return undefined;
    });
  }

  /** Stores the last use in the background if it is due. */
  #used(token: VerifiedToken, record: SessionRecord, { meta }: Content, now: number): SessionRecord {
    const { limits } = this.parts;
    const isDue = touchIsDue(record.touchedAt, now, limits);
    token.touchDueAt = (isDue ? now : record.touchedAt) + limits.touchAfterMs;
    if (!isDue) return record;
    const expiresAt = expiryOf({ ...meta, createdAt: record.createdAt }, now, limits);
    this.#touch(token.handle, now, expiresAt);
    return { ...record, touchedAt: now, expiresAt };
  }

  /** Ignores a failure, which has emitted an event: it costs only some of the idle time. */
  #touch(handle: string, touchedAt: number, expiresAt: number): void {
    try {
      const work = this.access.touch(handle, touchedAt, expiresAt);
      if (isPromise(work)) this.#inBackground(work);
    } catch {}
  }

  #inBackground(work: Promise<unknown>): void {
    const settled: Promise<unknown> = work
      .catch(() => undefined)
      .then(() => {
        this.#background.delete(settled);
      });
    this.#background.add(settled);
  }

  /** Returns a session as the store has it now, unless it has ended. */
  #living({
    handle,
    record: { userId },
  }: OpenedSession): Awaitable<{ record: SessionRecord; lifetime: Lifetime } | undefined> {
    return after(this.access.load(handle), (record) => {
      const meta = record?.userId === userId ? decodePayload(record.payload)?.meta : undefined;
      if (record === undefined || meta === undefined) return undefined;
      const { createdAt, touchedAt, expiresAt } = record;
      if (hasExpired({ ...meta, createdAt, touchedAt, expiresAt }, this.clock.now(), this.parts.limits))
        return undefined;
      const living = { record, lifetime: { ...meta, createdAt } };
      if (meta.actor === undefined) return living;
      return after(isActing(this.access, meta.actor), (isThere) => (isThere ? living : undefined));
    });
  }
}

/** Opens the first token that has a session. */
export function openFirst(
  backend: SessionBackend,
  tokens: readonly CheckedToken[],
  scope: TokenScope,
  counts = true,
  position = 0,
): Awaitable<Opening | undefined> {
  const token = tokens[position];
  if (token === undefined) return undefined;
  return after(
    backend.open(token, scope, counts),
    (opening) => opening ?? openFirst(backend, tokens, scope, counts, position + 1),
  );
}

/**
 * Returns a session's content, unless its record is damaged, it has ended, or its token came by
 * another transport than at the beginning.
 */
export function openContent(
  handle: string,
  { payload, createdAt, touchedAt, expiresAt }: SessionRecord,
  transport: string | undefined,
  { events, limits, format }: Pick<BackendOptions, "events" | "limits" | "format">,
  now: number,
): Content | undefined {
  const content = decodePayload(payload);
  if (content === undefined) {
    events.emit("damaged-record", { handle });
    return undefined;
  }
  const { endsAt, absoluteFrom, notAfter } = content.meta;
  if (hasExpired({ endsAt, absoluteFrom, notAfter, createdAt, touchedAt, expiresAt }, now, limits)) return undefined;
  if (content.meta.transport === transport) return format === undefined ? content : format.bring(handle, content);
  events.emit("transport-refused", { handle });
  return undefined;
}
