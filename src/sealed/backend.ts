import { undeliverableError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord, SessionStore } from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { Sealer, sealRoom } from "../crypto/seal.ts";
import type { Opening, SessionBackend, TokenScope } from "../session/backend.ts";
import { Committer } from "../session/commit.ts";
import { type OpenedSession, type RequestFacts, SessionContext, type SessionParts } from "../session/context.ts";
import { Events } from "../session/events.ts";
import type { Links } from "../session/links.ts";
import { SKEW_MS } from "../session/notes.ts";
import type { Policy } from "../session/policy.ts";
import { Retries } from "../session/retry.ts";
import type { CarriedLimits } from "../session/size-limit.ts";
import { type Deadlines, StoreAccess } from "../session/store-access.ts";
import { type BackendOptions, openContent, StoredSessions } from "../session/stored.ts";
import { hasExpired, touchIsDue } from "../session/timeouts.ts";
import { factsOf, type Validation, type Verdict } from "../session/validation.ts";
import { encrypted } from "../wrap/encrypted.ts";
import { CookieRecordStore } from "./cookie-record-store.ts";
import { Overflow } from "./overflow.ts";
import { overflowBytes, SEALED_RECORD_BYTES, sealedBytes } from "./record.ts";
import { RevocationList } from "./revocation-list.ts";
import { SealedTokens, type Unsealed } from "./tokens.ts";

export interface SealedOptions extends BackendOptions {
  ring: KeyRing;
  /** Remembers ended sessions. Without it, a copy of a seal works until its own deadline. */
  revocations?: SessionStore | undefined;
  /** Keeps data that does not fit a token. Without it, such data is an error. */
  overflow?: SessionStore | undefined;
}

/** None here: the stores beside the tokens enforce deadlines and report failures. */
const NO_DEADLINES: Deadlines = { readMs: Number.POSITIVE_INFINITY, commitMs: Number.POSITIVE_INFINITY };
const NO_LISTENERS = new Events();

/** Opens and seals sessions that travel in their tokens. */
export class SealedSessions implements SessionBackend {
  readonly clock: Clock;
  readonly isSynchronous: boolean;
  readonly running = undefined;
  readonly revocations: RevocationList | undefined;
  readonly overflow: Overflow | undefined;
  /** The stores beside the tokens, which need sweeping and closing. */
  readonly stores: readonly StoredSessions[];
  readonly policy: Policy;
  readonly #options: SealedOptions;
  /** By the name of the cookie or the header. */
  readonly #tokens = new Map<string, SealedTokens>();
  /** By the room for a token. */
  readonly #parts = new Map<number, SessionParts>();

  constructor(options: SealedOptions) {
    const { clock, events, revocations, overflow, deadlines, limits, ring, tokens } = options;
    this.#options = options;
    this.clock = clock;
    this.policy = options.policy ?? {};
    const stores = [...new Set([revocations, overflow])].filter((store) => store !== undefined);
    this.isSynchronous = stores.every((store) => store.synchronousLoad === true);
    this.stores = stores.map((store) => new StoredSessions({ ...options, store, ring: undefined }));
    if (revocations !== undefined) {
      this.revocations = new RevocationList(new StoreAccess(revocations, clock, deadlines, events), clock, limits);
    }
    if (overflow !== undefined) {
      const store = encrypted(overflow, ring, "overflow");
      this.overflow = new Overflow(new StoreAccess(store, clock, deadlines, events), tokens);
    }
  }

  verify(text: string, scope: TokenScope): Unsealed | undefined {
    const unsealed = this.#tokensOf((scope.former ?? scope).name).open(text);
    if (unsealed === undefined) return undefined;
    const { createdAt, touchedAt, expiresAt } = unsealed.sealed.record;
    const now = this.clock.now();
    // Clocks differ by at most this. A session may begin after its seal was made, see
    // `RevocationList`.
    if (createdAt > now + 3 * SKEW_MS || touchedAt > now + SKEW_MS || expiresAt <= now) return undefined;
    return scope.former === undefined ? unsealed : { ...unsealed, outdated: true };
  }

  /** The seal records the last use. */
  isOpeningDue(token: Unsealed, counts: boolean): boolean {
    return (counts && this.#isRenewalDue(token)) || this.validation?.isDue(token.sealed.handle) === true;
  }

  get validation(): Validation | undefined {
    return this.policy.validation;
  }

  /** Without a revocation list the session ends in this browser; a copy of the seal is rejected, too. */
  validate(opened: OpenedSession): Awaitable<Verdict> {
    const { validation } = this;
    const { handle, record, content } = opened;
    if (validation === undefined) return "valid";
    if (record.userId === null) return validation.pass(handle);
    const end = (): Awaitable<boolean> => this.#storeOf(opened, () => true).delete(handle);
    return validation.check({ handle, facts: () => factsOf(record, content.meta), end });
  }

  open(token: Unsealed, scope: TokenScope, counts: boolean): Awaitable<Opening | undefined> {
    const { sealed, outdated } = token;
    const { handle, record, overflowKey } = sealed;
    return after(this.revocations?.includes(handle, record) ?? false, (isRevoked) => {
      if (isRevoked) return undefined;
      const payload =
        overflowKey === undefined ? record.payload : this.overflow?.payload(overflowKey, handle, record.version);
      return after(payload, (text) => {
        if (text === undefined) return undefined;
        const now = this.clock.now();
        const complete = { ...record, payload: text };
        const content = openContent(handle, complete, scope.transport, this.#options, now);
        if (content === undefined) return undefined;
        const renew = counts && this.#isRenewalDue(token);
        return { opened: { ...sealed, record: complete, secret: "", content }, outdated, renew };
      });
    });
  }

  /** Returns nothing: sealed tokens don't name a successor, so the last response wins. */
  rotated(): undefined {
    return undefined;
  }

  context(request: RequestFacts, opened: OpenedSession | undefined, scope: TokenScope): SessionContext {
    const room = sealRoom(scope.room);
    const store = this.#storeOf(opened, (record) => sealedBytes(record) <= room);
    const access = new StoreAccess(store, this.clock, NO_DEADLINES, NO_LISTENERS, this.#options.format);
    return new SessionContext(this.#partsFor(room), access, request, opened);
  }

  /** Checks the seal's deadlines, because only the client may hold later ones; then the stores. */
  isOpen({ handle, record, content, overflowKey }: OpenedSession): Awaitable<boolean> {
    const { createdAt, touchedAt, expiresAt } = record;
    const lifetime = { ...content.meta, createdAt, touchedAt, expiresAt };
    if (hasExpired(lifetime, this.clock.now(), this.#options.limits)) return false;
    return after(this.revocations?.includes(handle, record) ?? false, (isRevoked) => {
      if (isRevoked || overflowKey === undefined) return !isRevoked;
      return after(this.overflow?.payload(overflowKey, handle, record.version), (payload) => payload !== undefined);
    });
  }

  /** Throws, because only a response can bring a seal with a later deadline. */
  touch(): never {
    throw undeliverableError();
  }

  use(): void {}

  links(): Links {
    const [revocations] = this.stores;
    if (this.revocations === undefined || revocations === undefined) {
      throw new TypeError("query() needs a store that remembers used links: new SealedStore({ revocations: store })");
    }
    return revocations.links();
  }

  tokenOf({ state, access }: SessionContext, { name }: TokenScope): string {
    const { store } = access;
    const { handle, record } = state;
    return this.#tokensOf(name).seal(
      store instanceof CookieRecordStore ? store.outgoing(handle, record) : { handle, record },
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.stores.map((store) => store.close()));
  }

  #isRenewalDue({ sealed, outdated }: Unsealed): boolean {
    return outdated || touchIsDue(sealed.record.touchedAt, this.clock.now(), this.#options.limits);
  }

  /** Returns the store of one request. @param fits whether a token has room for a record */
  #storeOf(incoming: OpenedSession | undefined, fits: (record: SessionRecord) => boolean): CookieRecordStore {
    const { clock, revocations, overflow: records } = this;
    return new CookieRecordStore({ clock, revocations, overflow: records && { records, fits }, incoming });
  }

  #partsFor(room: number): SessionParts {
    let parts = this.#parts.get(room);
    if (parts === undefined) {
      const { clock, limits, tokens, events, format, maxBytes, deviceOf } = this.#options;
      const retries = new Retries(clock, events, Number.POSITIVE_INFINITY);
      const committer = new Committer({ clock, limits, events, retries, format, ...this.#limitsFor(room, maxBytes) });
      parts = {
        committer,
        retries,
        clock,
        limits,
        tokens,
        events,
        policy: this.policy,
        pending: [],
        links: this.stores[0]?.parts.links,
        deviceOf,
      };
      this.#parts.set(room, parts);
    }
    return parts;
  }

  /** Returns the largest size of a session. */
  #limitsFor(room: number, maxBytes: number): { maxBytes: number; carried: CarriedLimits } {
    const revocable = this.revocations !== undefined;
    if (this.overflow === undefined) {
      const remedy = "raise the SealedStore's chunks, or set its overflow";
      return { maxBytes: Math.min(maxBytes, room - SEALED_RECORD_BYTES), carried: { revocable, remedy } };
    }
    const tooLarge: CarriedLimits["tooLarge"] = (record) =>
      overflowBytes(record) <= room ? undefined : "its cookie, because of its user's ID";
    return { maxBytes, carried: { revocable, tooLarge, remedy: "raise maxBytes" } };
  }

  #tokensOf(name: string): SealedTokens {
    let tokens = this.#tokens.get(name);
    if (tokens === undefined) {
      tokens = new SealedTokens(new Sealer(this.#options.ring, { purpose: "cookie", name }));
      this.#tokens.set(name, tokens);
    }
    return tokens;
  }
}
