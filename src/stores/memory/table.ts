import type { SessionRecord, StoredSession } from "../store.ts";
import { NONE, Numbers, Rings, Texts } from "./columns.ts";
import { SlotMap } from "./slot-map.ts";
import { grainOf, Timeline } from "./timeline.ts";

/** Columns of texts. */
const HANDLE = 0;
const PAYLOAD = 1;
const SECRET_HASH = 2;
const USER_ID = 3;
/** Columns of numbers. The version of a free slot is the next free one. */
const VERSION = 0;
const CREATED_AT = 1;
const TOUCHED_AT = 2;
const EXPIRES_AT = 3;

/**
 * The records in memory and every order they are asked for in: by handle, by user, by last use (those without a user
 * apart from the others), by expiry. Knows no clock and no limit.
 *
 * Fields are copied in and out, so that nobody outside holds an object that is also the store's.
 */
export class Table {
  readonly #slots = new SlotMap();
  readonly #texts = new Texts(4);
  readonly #numbers = new Numbers(4);

  readonly #byUser = new SlotMap();
  readonly #userRings = new Rings();
  readonly #expiries = new Timeline(new Rings());
  /** A session is in one of the two for life: its user never changes. */
  readonly #anonymousUses: Timeline;
  readonly #userUses: Timeline;

  #free = NONE;
  #used = 0;
  #size = 0;
  #characters = 0;

  constructor() {
    const rings = new Rings();
    this.#anonymousUses = new Timeline(rings);
    this.#userUses = new Timeline(rings);
  }

  get size(): number {
    return this.#size;
  }

  /** The length of all texts together. */
  get characters(): number {
    return this.#characters;
  }

  find(handle: string): number {
    return this.#slots.get(handle) ?? NONE;
  }

  expiresAt(slot: number): number {
    return this.#numbers.get(slot, EXPIRES_AT);
  }

  touchedAt(slot: number): number {
    return this.#numbers.get(slot, TOUCHED_AT);
  }

  version(slot: number): number {
    return this.#numbers.get(slot, VERSION);
  }

  handle(slot: number): string {
    return this.#texts.get(slot, HANDLE) ?? "";
  }

  userId(slot: number): string | null {
    return this.#texts.get(slot, USER_ID);
  }

  record(slot: number): SessionRecord {
    return {
      payload: this.#texts.get(slot, PAYLOAD) ?? "",
      version: this.#numbers.get(slot, VERSION),
      secretHash: this.#texts.get(slot, SECRET_HASH) ?? "",
      userId: this.#texts.get(slot, USER_ID),
      createdAt: this.#numbers.get(slot, CREATED_AT),
      touchedAt: this.#numbers.get(slot, TOUCHED_AT),
      expiresAt: this.#numbers.get(slot, EXPIRES_AT),
    };
  }

  stored(slot: number): StoredSession {
    return { handle: this.handle(slot), ...this.record(slot) };
  }

  /** @param handle one that is not in the table */
  insert(handle: string, record: SessionRecord): number {
    const slot = this.#take();
    const { userId } = record;
    this.#slots.set(handle, slot);
    this.#texts.set(slot, HANDLE, handle);
    this.#fill(slot, record);
    this.#numbers.set(slot, CREATED_AT, record.createdAt);
    this.#numbers.set(slot, TOUCHED_AT, record.touchedAt);
    this.#numbers.set(slot, EXPIRES_AT, record.expiresAt);
    this.#characters += handle.length;
    this.#expiries.add(slot, record.expiresAt);
    if (userId === null) {
      this.#anonymousUses.add(slot, record.touchedAt);
    } else {
      const first = this.#byUser.get(userId) ?? NONE;
      // One text for all sessions of a user.
      this.#texts.set(slot, USER_ID, first === NONE ? userId : this.#texts.get(first, USER_ID));
      this.#characters += userId.length;
      this.#userUses.add(slot, record.touchedAt);
      const newFirst = this.#userRings.append(first, slot);
      if (newFirst !== first) this.#byUser.set(userId, newFirst);
    }
    return slot;
  }

  /** Everything but the user, which never changes. */
  replace(slot: number, record: SessionRecord): void {
    this.#characters -= this.recordCharacters(slot);
    this.#fill(slot, record);
    this.#numbers.set(slot, CREATED_AT, record.createdAt);
    this.move(slot, record.touchedAt, record.expiresAt);
  }

  move(slot: number, touchedAt: number, expiresAt: number): void {
    const uses = this.#uses(slot);
    uses.remove(slot, this.#numbers.get(slot, TOUCHED_AT));
    uses.add(slot, touchedAt);
    this.#numbers.set(slot, TOUCHED_AT, touchedAt);
    const previous = this.#numbers.get(slot, EXPIRES_AT);
    this.#numbers.set(slot, EXPIRES_AT, expiresAt);
    if (grainOf(previous) === grainOf(expiresAt)) return;
    this.#expiries.remove(slot, previous);
    this.#expiries.add(slot, expiresAt);
  }

  remove(slot: number): void {
    const handle = this.handle(slot);
    const userId = this.#texts.get(slot, USER_ID);
    this.#uses(slot).remove(slot, this.#numbers.get(slot, TOUCHED_AT));
    this.#expiries.remove(slot, this.#numbers.get(slot, EXPIRES_AT));
    this.#characters -= handle.length + this.recordCharacters(slot);
    if (userId !== null) {
      this.#characters -= userId.length;
      const first = this.#byUser.get(userId) ?? NONE;
      const left = this.#userRings.remove(first, slot);
      if (left === NONE) this.#byUser.delete(userId);
      else if (left !== first) this.#byUser.set(userId, left);
    }
    this.#slots.delete(handle);
    this.#texts.set(slot, HANDLE, null);
    this.#texts.set(slot, PAYLOAD, null);
    this.#texts.set(slot, SECRET_HASH, null);
    this.#texts.set(slot, USER_ID, null);
    this.#numbers.set(slot, VERSION, this.#free);
    this.#free = slot;
    this.#size--;
  }

  /** Every session of a user, expired ones too. */
  *ofUser(userId: string): Generator<number> {
    yield* this.#userRings.slots(this.#byUser.get(userId) ?? NONE);
  }

  /** Every session, grain by grain, the newest use's first; from `touchedAt` down. Unordered within a grain. */
  *byNewestGrain(touchedAt: number): Generator<number[]> {
    let grain = grainOf(touchedAt) + 1;
    for (;;) {
      grain = Math.max(this.#anonymousUses.newestBelow(grain), this.#userUses.newestBelow(grain));
      if (grain === Number.NEGATIVE_INFINITY) return;
      const slots = [...this.#anonymousUses.slots(grain), ...this.#userUses.slots(grain)];
      yield slots;
    }
  }

  /** How many have expired; looks at those and at the rest of the last half minute. */
  countExpired(now: number): number {
    let expired = 0;
    for (const slot of this.#expiries.slotsUpTo(now)) if (!(this.#numbers.get(slot, EXPIRES_AT) > now)) expired++;
    return expired;
  }

  /** One that expired half a minute ago or more, or `NONE`. */
  longExpired(now: number): number {
    return this.#expiries.oldestBefore(now);
  }

  /** Whom to give up first: who has no session to lose but an anonymous one, and has not been seen for longest. */
  leastRecentlyUsed(except: number): number {
    const anonymous = this.#anonymousUses.oldest(except);
    return anonymous === NONE ? this.#userUses.oldest(except) : anonymous;
  }

  #uses(slot: number): Timeline {
    return this.#texts.get(slot, USER_ID) === null ? this.#anonymousUses : this.#userUses;
  }

  #fill(slot: number, record: SessionRecord): void {
    this.#texts.set(slot, PAYLOAD, record.payload);
    this.#texts.set(slot, SECRET_HASH, record.secretHash);
    this.#numbers.set(slot, VERSION, record.version);
    this.#characters += record.payload.length + record.secretHash.length;
  }

  /** What `replace` would exchange. */
  recordCharacters(slot: number): number {
    return (this.#texts.get(slot, PAYLOAD)?.length ?? 0) + (this.#texts.get(slot, SECRET_HASH)?.length ?? 0);
  }

  #take(): number {
    this.#size++;
    if (this.#free === NONE) return this.#used++;
    const slot = this.#free;
    this.#free = this.#numbers.get(slot, VERSION);
    return slot;
  }
}
