import type { SessionRecord } from "../store.ts";

/** What was read, as V8 holds it. */
export type RecordTexts = Pick<SessionRecord, "payload" | "secretHash">;

/** In characters. More would be more for the garbage collector to move about. */
const ROOM = 512 * 1_024;

/**
 * The texts of the sessions that were read last: clients ask a few times in a row, and a page of a large session reads one property of
 * it. Whoever read something longer ago is forgotten when room is needed.
 */
export class Recent {
  readonly #texts = new Map<number, RecordTexts>();
  #characters = 0;

  get(slot: number): RecordTexts | undefined {
    return this.#texts.get(slot);
  }

  set(slot: number, texts: RecordTexts): void {
    this.delete(slot);
    const characters = charactersOf(texts);
    if (characters > ROOM) return;
    this.#characters += characters;
    this.#texts.set(slot, texts);
    if (this.#characters <= ROOM) return;
    for (const oldest of this.#texts.keys()) {
      this.delete(oldest);
      if (this.#characters <= ROOM) return;
    }
  }

  /** After a write: what was read lately will be read again. */
  replace(slot: number, texts: RecordTexts): void {
    if (this.#texts.has(slot)) this.set(slot, texts);
  }

  delete(slot: number): void {
    const texts = this.#texts.get(slot);
    if (texts === undefined) return;
    this.#characters -= charactersOf(texts);
    this.#texts.delete(slot);
  }

  clear(): void {
    this.#texts.clear();
    this.#characters = 0;
  }
}

function charactersOf({ payload, secretHash }: RecordTexts): number {
  return payload.length + secretHash.length;
}
