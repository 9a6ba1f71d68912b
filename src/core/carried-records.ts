import type { Awaitable, SessionRecord, SessionStore, UpdateResult } from "../stores/store.ts";
import { after } from "./awaitable.ts";
import type { Clock } from "./clock.ts";
import type { Endings } from "./endings.ts";

/**
 * One request's store where the token that travels is the record: what came with the request, and what it put there since. It lets
 * the engine work as with any store, and is forgotten with the request; what it holds at the end is sealed into the answer.
 */
export class CarriedRecords implements SessionStore {
  readonly #records = new Map<string, SessionRecord>();
  readonly #clock: Clock;
  readonly #endings: Endings | undefined;
  readonly #came: string | undefined;

  constructor(clock: Clock, endings: Endings | undefined, came?: { handle: string; record: SessionRecord }) {
    this.#clock = clock;
    this.#endings = endings;
    this.#came = came?.handle;
    if (came !== undefined) this.#records.set(came.handle, came.record);
  }

  load(handle: string): SessionRecord | undefined {
    const record = this.#records.get(handle);
    return record !== undefined && record.expiresAt > this.#clock.now() ? record : undefined;
  }

  create(handle: string, record: SessionRecord): Awaitable<boolean> {
    const { userId, createdAt } = record;
    // What was excepted when all of a user's sessions were ended stays so under its new name.
    const noted =
      userId === null || this.#came === undefined
        ? undefined
        : this.#endings?.rename(userId, this.#came, { handle, createdAt });
    return after(noted, () => {
      this.#records.set(handle, record);
      return true;
    });
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Awaitable<UpdateResult> {
    const there = this.load(handle);
    if (there === undefined) return "gone";
    if (there.version !== expectedVersion) return "conflict";
    if (record.expiresAt <= this.#clock.now()) return after(this.delete(handle), () => "ok");
    this.#records.set(handle, record);
    return "ok";
  }

  touch(handle: string, touchedAt: number, expiresAt: number): boolean {
    const there = this.load(handle);
    if (there === undefined) return false;
    this.#records.set(handle, { ...there, touchedAt, expiresAt });
    return true;
  }

  /** Without a list of endings it ends in this browser alone: a copy of the seal lives until its own deadline. */
  delete(handle: string): Awaitable<boolean> {
    const there = this.#records.get(handle);
    return after(this.#endings?.end(handle, there), () => this.#records.delete(handle));
  }

  close(): void {}
}
