import { after } from "../contract/awaitable.ts";
import type { Clock } from "../contract/clock.ts";
import {
  type Awaitable,
  isNote,
  type ReplaceResult,
  type SessionRecord,
  type SessionStore,
  type UpdateResult,
} from "../contract/store.ts";
import type { Endings } from "./endings.ts";
import type { Overflow } from "./overflow.ts";

/** A session as its token had it. */
export interface CameWith {
  handle: string;
  record: SessionRecord;
  /** Where its payload was kept, if that was not in the token. */
  elsewhere?: string | undefined;
}

export interface CarriedOptions {
  clock: Clock;
  endings: Endings | undefined;
  /** Where payloads go that do not fit. */
  overflow: { records: Overflow; fits: (record: SessionRecord) => boolean } | undefined;
  came: CameWith | undefined;
}

/**
 * One request's store where the token that travels is the record: what came with the request, and what it put there since. It lets
 * the engine work as with any store, and is forgotten with the request; what it holds at the end is sealed into the answer.
 */
export class CarriedRecords implements SessionStore {
  readonly #records = new Map<string, SessionRecord>();
  /** Where the payloads of these sessions are kept that the token has no room for. */
  readonly #elsewhere = new Map<string, string>();
  readonly #clock: Clock;
  readonly #endings: Endings | undefined;
  readonly #overflow: CarriedOptions["overflow"];
  readonly #came: CameWith | undefined;
  readonly #beginnings = new Map<string, number>();

  constructor({ clock, endings, overflow, came }: CarriedOptions) {
    this.#clock = clock;
    this.#endings = endings;
    this.#overflow = overflow;
    this.#came = came;
    if (came === undefined) return;
    this.#records.set(came.handle, came.record);
    if (came.elsewhere !== undefined) this.#elsewhere.set(came.handle, came.elsewhere);
  }

  /** Where the payload of this session is kept; `undefined`: in its token. */
  elsewhere(handle: string): string | undefined {
    return this.#elsewhere.get(handle);
  }

  /** When a session begins, where that is later than its record says. */
  beginning(handle: string): number | undefined {
    return this.#beginnings.get(handle);
  }

  /** What was alive when the request began stays so until its end: a running request is a use. */
  load(handle: string): SessionRecord | undefined {
    return this.#records.get(handle);
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    return after(this.#begin(handle, record), () => after(this.#put(handle, record), () => true));
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult> {
    const there = this.load(handle);
    if (there === undefined) return "gone";
    if (there.version !== expectedVersion) return "conflict";
    if (record.expiresAt <= this.#clock.now()) return this.#end(handle);
    return after(this.#put(handle, record), () => "ok");
  }

  /** The new one first: if that fails, the old one lives on. */
  replace(handle: string, expectedVersion: number, newHandle: string, record: SessionRecord): Awaitable<ReplaceResult> {
    const there = this.load(handle);
    if (there === undefined) return "gone";
    if (there.version !== expectedVersion) return "conflict";
    // Nobody looks for a tombstone: which session took this one's place, only its cookie says.
    if (isNote(newHandle)) return this.#end(handle);
    return after(this.create(newHandle, record), () => this.#end(handle));
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    const there = this.load(handle);
    if (there === undefined) return false;
    const elsewhere = this.#elsewhere.get(handle);
    const isThere = elsewhere === undefined || this.#overflow?.records.touch(elsewhere, touchedAt, expiresAt);
    return after(isThere, (isKept) => {
      if (isKept === true) this.#records.set(handle, { ...there, touchedAt, expiresAt });
      else this.#records.delete(handle);
      return isKept === true;
    });
  }

  /** Without a list of endings it ends in this browser alone: a copy of the seal lives until its own deadline, if its data is in it. */
  delete(handle: string): Awaitable<boolean> {
    const there = this.#records.get(handle);
    return after(this.#endings?.end(handle, there), () =>
      after(this.#deleteElsewhere(handle), () => this.#records.delete(handle)),
    );
  }

  close(): void {}

  /** Has a user's session stand right in the list of endings. */
  #begin(handle: string, record: SessionRecord): Awaitable<void> {
    const { userId, createdAt } = record;
    const endings = this.#endings;
    if (userId === null || endings === undefined) return undefined;
    const came = this.#came;
    if (came !== undefined && came.record.userId === userId && came.record.createdAt === createdAt) {
      // What was excepted when all of a user's sessions were ended stays so under its new name.
      return endings.rename(userId, came.handle, { handle, createdAt });
    }
    return after(endings.beginning(record), (beginning) => {
      if (beginning !== createdAt) this.#beginnings.set(handle, beginning);
    });
  }

  #put(handle: string, record: SessionRecord): Awaitable<void> {
    const overflow = this.#overflow;
    const put = overflow === undefined || overflow.fits(record) ? undefined : overflow.records.put(handle, record);
    return after(put, (elsewhere) => {
      const before = this.#elsewhere.get(handle);
      this.#records.set(handle, record);
      if (elsewhere === undefined) this.#elsewhere.delete(handle);
      else this.#elsewhere.set(handle, elsewhere);
      // Written by this request, and never sent. What the client came with stays: another answer may be on its way that names it.
      if (before !== undefined && before !== this.#came?.elsewhere) overflow?.records.abandon(before);
    });
  }

  #end(handle: string): Awaitable<"ok"> {
    return after(this.delete(handle), () => "ok");
  }

  /** One after the other: were both asked at once, and both to fail, nobody would hear of the second. */
  #deleteElsewhere(handle: string): Awaitable<unknown> {
    const records = this.#overflow?.records;
    const own = this.#elsewhere.get(handle);
    const brought = handle === this.#came?.handle ? this.#came.elsewhere : undefined;
    return after(own === undefined ? undefined : records?.delete(own), () =>
      brought === undefined || brought === own ? undefined : records?.delete(brought),
    );
  }
}
