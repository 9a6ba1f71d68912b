import type { SessionRecord } from "../store.ts";
import { NONE } from "./rows.ts";

/** What was read, as V8 holds it. */
export type RecordTexts = Pick<SessionRecord, "payload" | "secretHash">;

/** So many sessions of up to so many characters, and a few larger ones: 2 MiB each at most. More would be more for the garbage collector to move. */
const SMALL = 1_024;
const SMALL_CHARACTERS = 2_048;
const LARGE = 16;

/**
 * The texts of sessions that were read lately: clients ask a few times in a row, and a page of a large session reads one property of
 * it. Each slot has one place, which it shares with others; who was read last is in it.
 */
export class Recent {
  readonly #slots = new Int32Array(SMALL + LARGE).fill(NONE);
  readonly #texts = new Array<RecordTexts | undefined>(SMALL + LARGE).fill(undefined);

  get(slot: number): RecordTexts | undefined {
    const place = this.#placeOf(slot);
    return place === NONE ? undefined : this.#texts[place];
  }

  set(slot: number, texts: RecordTexts): void {
    this.delete(slot);
    const isSmall = texts.payload.length + texts.secretHash.length <= SMALL_CHARACTERS;
    const place = isSmall ? slot % SMALL : SMALL + (slot % LARGE);
    this.#slots[place] = slot;
    this.#texts[place] = texts;
  }

  /** After a write: what was read lately will be read again. */
  replace(slot: number, texts: RecordTexts): void {
    if (this.#placeOf(slot) !== NONE) this.set(slot, texts);
  }

  /** What was ended is not kept. */
  delete(slot: number): void {
    const place = this.#placeOf(slot);
    if (place === NONE) return;
    this.#slots[place] = NONE;
    this.#texts[place] = undefined;
  }

  clear(): void {
    this.#slots.fill(NONE);
    this.#texts.fill(undefined);
  }

  #placeOf(slot: number): number {
    if (this.#slots[slot % SMALL] === slot) return slot % SMALL;
    const place = SMALL + (slot % LARGE);
    return this.#slots[place] === slot ? place : NONE;
  }
}
