import type { SessionRecord, StoredSession } from "../../contract/store.ts";
import { Arena } from "./arena.ts";
import { Order } from "./order.ts";
import { Records } from "./records.ts";
import { NONE, Rings, Rows } from "./rows.ts";
import { bytesOf } from "./text.ts";
import { Users } from "./users.ts";

/** Words of a row: two pairs of numbers, and the links of two lists. */
const VERSION = 0;
const CREATED_AT = 1;
const TOUCHED_AT = 3;
const EXPIRES_AT = 4;
const USES = 6;
const EXPIRIES = 8;
const ROW_WORDS = 10;

/**
 * The records in memory and every order they are asked for in: by handle, by user, by last use (those without a user
 * apart from the others), by expiry. Knows no clock and no limit.
 *
 * Nothing in here is copied or searched as a whole, ever. All but large payloads lies outside V8's heap.
 */
export class Table {
  readonly #arena = new Arena();
  readonly #rows = new Rows(ROW_WORDS);
  readonly #records = new Records(this.#arena);
  readonly #users = new Users(this.#arena);
  readonly #expiries = new Order(new Rings(this.#rows, EXPIRIES), this.#rows, EXPIRES_AT);
  /** A session is in one of the two for life: its user never changes. */
  readonly #anonymousUses: Order;
  readonly #userUses: Order;
  #bytes = 0;

  constructor() {
    const rings = new Rings(this.#rows, USES);
    this.#anonymousUses = new Order(rings, this.#rows, TOUCHED_AT);
    this.#userUses = new Order(rings, this.#rows, TOUCHED_AT);
  }

  get size(): number {
    return this.#records.size;
  }

  /** How many bytes all texts together count for. */
  get bytes(): number {
    return this.#bytes;
  }

  find(handle: string): number {
    return this.#records.find(handle);
  }

  expiresAt(slot: number): number {
    return this.#rows.number(slot, EXPIRES_AT);
  }

  touchedAt(slot: number): number {
    return this.#rows.number(slot, TOUCHED_AT);
  }

  version(slot: number): number {
    return this.#rows.number(slot, VERSION);
  }

  handle(slot: number): string {
    return this.#records.handle(slot);
  }

  userId(slot: number): string | null {
    return this.#users.userId(slot);
  }

  record(slot: number): SessionRecord {
    const { payload, secretHash } = this.#records.texts(slot);
    return {
      payload,
      version: this.#rows.number(slot, VERSION),
      secretHash,
      userId: this.#users.userId(slot),
      createdAt: this.#rows.number(slot, CREATED_AT),
      touchedAt: this.#rows.number(slot, TOUCHED_AT),
      expiresAt: this.#rows.number(slot, EXPIRES_AT),
    };
  }

  stored(slot: number): StoredSession {
    return { handle: this.handle(slot), ...this.record(slot) };
  }

  /** @param handle one that is not in the table */
  insert(handle: string, record: SessionRecord): void {
    const slot = this.#records.insert(handle, record);
    this.#users.set(slot, record.userId);
    this.#rows.setNumber(slot, VERSION, record.version);
    this.#rows.setNumber(slot, CREATED_AT, record.createdAt);
    this.#rows.setNumber(slot, TOUCHED_AT, record.touchedAt);
    this.#rows.setNumber(slot, EXPIRES_AT, record.expiresAt);
    this.#expiries.add(slot);
    this.#uses(slot).add(slot);
    this.#bytes += this.sessionBytes(slot);
  }

  /** Everything but the user, which never changes. */
  replace(slot: number, record: SessionRecord): void {
    this.#bytes -= this.#records.bytes(slot);
    this.#records.replace(slot, record);
    this.#bytes += this.#records.bytes(slot);
    this.#rows.setNumber(slot, VERSION, record.version);
    this.#rows.setNumber(slot, CREATED_AT, record.createdAt);
    this.move(slot, record.touchedAt, record.expiresAt);
  }

  move(slot: number, touchedAt: number, expiresAt: number): void {
    const uses = this.#uses(slot);
    uses.remove(slot);
    this.#rows.setNumber(slot, TOUCHED_AT, touchedAt);
    uses.add(slot);
    if (expiresAt === this.#rows.number(slot, EXPIRES_AT)) return;
    this.#expiries.remove(slot);
    this.#rows.setNumber(slot, EXPIRES_AT, expiresAt);
    this.#expiries.add(slot);
  }

  remove(slot: number): void {
    this.#bytes -= this.sessionBytes(slot);
    this.#uses(slot).remove(slot);
    this.#expiries.remove(slot);
    this.#users.remove(slot);
    this.#records.remove(slot);
  }

  /** At once, however many there are. */
  clear(): void {
    this.#records.clear();
    this.#users.clear();
    this.#expiries.clear();
    this.#anonymousUses.clear();
    this.#userUses.clear();
    this.#arena.clear();
    this.#bytes = 0;
  }

  /** Every session of a user, expired ones too. The table must not change meanwhile. */
  ofUser(userId: string): Iterable<number> {
    return this.#users.sessions(userId);
  }

  /** Every session, the newest use first, beginning with those of `touchedAt`. The table must not change meanwhile. */
  *byNewestUse(touchedAt: number): Generator<number> {
    const anonymous = this.#anonymousUses.newestFrom(touchedAt);
    const users = this.#userUses.newestFrom(touchedAt);
    let one = anonymous.next();
    let other = users.next();
    while (!one.done || !other.done) {
      if (other.done || (!one.done && this.touchedAt(one.value) >= this.touchedAt(other.value))) {
        if (!one.done) yield one.value;
        one = anonymous.next();
      } else {
        yield other.value;
        other = users.next();
      }
    }
  }

  /** How many have expired. */
  countExpired(now: number): number {
    return this.#expiries.countUpTo(now);
  }

  /** Who expires first, or has. `NONE` where nobody is. */
  firstToExpire(): number {
    return this.#expiries.oldest();
  }

  /** Whom to give up first: who has no session to lose but an anonymous one, and has not been seen for longest. */
  leastRecentlyUsed(except: number): number {
    const anonymous = this.#anonymousUses.oldest(except);
    return anonymous === NONE ? this.#userUses.oldest(except) : anonymous;
  }

  #uses(slot: number): Order {
    return this.#users.has(slot) ? this.#userUses : this.#anonymousUses;
  }

  /** How many bytes a session's texts count for. */
  sessionBytes(slot: number): number {
    return this.#records.bytes(slot) + this.#users.bytes(slot);
  }

  /** How many they would with those of this record. */
  bytesWith(slot: number, { secretHash, payload }: SessionRecord): number {
    return this.#records.handleBytes(slot) + bytesOf(secretHash) + bytesOf(payload) + this.#users.bytes(slot);
  }
}

/** How many bytes the texts of a record count for, once it is in a table. */
export function bytesFor(handle: string, { secretHash, payload, userId }: SessionRecord): number {
  return bytesOf(handle) + bytesOf(secretHash) + bytesOf(payload) + (userId === null ? 0 : bytesOf(userId));
}
