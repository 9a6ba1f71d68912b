import type { SessionRecord } from "../../contract/store.ts";
import { NONE } from "./rows.ts";

/** What was read, as V8 holds it. */
export type RecordTexts = Pick<SessionRecord, "payload" | "secretHash">;

/** So many sessions at most, and so many characters. More would be more for the garbage collector to move. */
const PLACES = 1_024;
const MOST_CHARACTERS = 8 * 1_024 * 1_024;

/**
 * The texts of sessions that were read lately: clients ask a few times in a row, and a page of a large session reads one property of
 * it. Each slot has one place, which it shares with others; who was read last is in it. Where all take too much room, places are emptied in turn.
 */
export class Recent {
  readonly #slots = new Int32Array(PLACES).fill(NONE);
  readonly #texts = new Array<RecordTexts | undefined>(PLACES).fill(undefined);
  #characters = 0;
  /** The place that was emptied last for want of room. */
  #hand = 0;

  get(slot: number): RecordTexts | undefined {
    const place = slot % PLACES;
    return this.#slots[place] === slot ? this.#texts[place] : undefined;
  }

  /** @param texts of a few hundred thousand characters at most */
  set(slot: number, texts: RecordTexts): void {
    const place = slot % PLACES;
    this.#empty(place);
    this.#slots[place] = slot;
    this.#texts[place] = texts;
    this.#characters += charactersOf(texts);
    while (this.#characters > MOST_CHARACTERS) {
      this.#hand = (this.#hand + 1) % PLACES;
      if (this.#hand !== place) this.#empty(this.#hand);
    }
  }

  /** After a write: what was read lately will be read again. */
  replace(slot: number, texts: RecordTexts): void {
    if (this.#slots[slot % PLACES] === slot) this.set(slot, texts);
  }

  /** What was ended is not kept. */
  delete(slot: number): void {
    if (this.#slots[slot % PLACES] === slot) this.#empty(slot % PLACES);
  }

  clear(): void {
    this.#slots.fill(NONE);
    this.#texts.fill(undefined);
    this.#characters = 0;
  }

  #empty(place: number): void {
    const there = this.#texts[place];
    if (there === undefined) return;
    this.#slots[place] = NONE;
    this.#texts[place] = undefined;
    this.#characters -= charactersOf(there);
  }
}

function charactersOf({ payload, secretHash }: RecordTexts): number {
  return payload.length + secretHash.length;
}
