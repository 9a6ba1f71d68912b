import { type Arena, contentOf } from "./arena.ts";
import { Chains } from "./chains.ts";
import { KIND_BITS, type Name, storedBytes, storedHash, storedText } from "./name.ts";
import { NONE, type Rows } from "./rows.ts";

const KIND = (1 << KIND_BITS) - 1;

/**
 * Numbers for names, small ones, used again after a name was removed: the slots of sessions, and of users. Each has a block in
 * the arena whose content begins with the name, and whose tag's lowest bits are the name's kind.
 */
export class Directory {
  readonly #arena: Arena;
  readonly #seed = (Math.random() * 2 ** 32) | 0;
  readonly #chains: Chains;
  readonly #rows: Rows;
  /** Of a row: where the block is; of a free slot: the next free one. */
  readonly #placeWord: number;
  #free = NONE;
  #used = 0;
  #size = 0;

  /** @param word the first of two words of a row that are the directory's */
  constructor(arena: Arena, rows: Rows, word: number) {
    this.#arena = arena;
    this.#rows = rows;
    this.#placeWord = word;
    this.#chains = new Chains(rows, word + 1, (slot) => this.#hashOf(slot));
  }

  get size(): number {
    return this.#size;
  }

  /** How many names were moved so far as the index grew. */
  get moved(): number {
    return this.#chains.moved;
  }

  find(name: Name): number {
    let slot = this.#chains.first(name.hash(this.#seed));
    while (slot !== NONE && !this.#is(name, slot)) slot = this.#chains.after(slot);
    return slot;
  }

  /** @param place a block that begins with this name, which is not in the directory */
  add(name: Name, place: number): number {
    let slot = this.#free;
    if (slot === NONE) slot = this.#used++;
    else this.#free = this.#rows.integer(slot, this.#placeWord);
    this.#size++;
    this.#rows.setInteger(slot, this.#placeWord, place);
    this.#chains.add(slot, name.hash(this.#seed));
    return slot;
  }

  place(slot: number): number {
    return this.#rows.integer(slot, this.#placeWord);
  }

  /** The name is in another block from now on. */
  move(slot: number, place: number): void {
    this.#rows.setInteger(slot, this.#placeWord, place);
  }

  text(slot: number): string {
    const place = this.#rows.integer(slot, this.#placeWord);
    return storedText(this.#arena.chunk(place), contentOf(place), this.#arena.tag(place) & KIND);
  }

  /** How many bytes the name's text counts for. */
  bytes(slot: number): number {
    const place = this.#rows.integer(slot, this.#placeWord);
    return storedBytes(this.#arena.chunk(place), contentOf(place), this.#arena.tag(place) & KIND);
  }

  /** Forgets a name, and gives its block back. */
  remove(slot: number): void {
    this.#chains.remove(slot, this.#hashOf(slot));
    this.#arena.release(this.#rows.integer(slot, this.#placeWord));
    this.#rows.setInteger(slot, this.#placeWord, this.#free);
    this.#free = slot;
    this.#size--;
  }

  /** Forgets all names; their blocks are the arena's to clear. */
  clear(): void {
    this.#chains.clear();
    this.#free = NONE;
    this.#used = 0;
    this.#size = 0;
  }

  #is(name: Name, slot: number): boolean {
    const place = this.#rows.integer(slot, this.#placeWord);
    return (this.#arena.tag(place) & KIND) === name.kind && name.isAt(this.#arena.chunk(place), contentOf(place));
  }

  #hashOf(slot: number): number {
    const place = this.#rows.integer(slot, this.#placeWord);
    return storedHash(this.#arena.chunk(place), contentOf(place), this.#arena.tag(place) & KIND, this.#seed);
  }
}
