import { type Arena, contentOf } from "./arena.ts";
import { Chains } from "./chains.ts";
import { KIND_BITS, type Name, storedBytes, storedText } from "./name.ts";
import { NONE, Rows } from "./rows.ts";

const KIND = (1 << KIND_BITS) - 1;

/**
 * Words of an entry: where the block is (of a free one: the next free slot), the next of its chain, the name's hash. So a name that is
 * looked for is compared with others' hashes here, where they lie close together, and seldom with a name anywhere in memory.
 */
const PLACE = 0;
const NEXT = 1;
const HASH = 2;
const ENTRY_WORDS = 3;

/**
 * Numbers for names, small ones, used again after a name was removed: the slots of sessions, and of users. Each has a block in
 * the arena whose content begins with the name, and whose tag's lowest bits are the name's kind.
 */
export class Directory {
  readonly #arena: Arena;
  readonly #seed = (Math.random() * 2 ** 32) | 0;
  readonly #entries = new Rows(ENTRY_WORDS);
  readonly #chains = new Chains(this.#entries, NEXT, HASH);
  #free = NONE;
  #used = 0;
  #size = 0;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  get size(): number {
    return this.#size;
  }

  /** How many names were moved so far as the index grew. */
  get moved(): number {
    return this.#chains.moved;
  }

  find(name: Name): number {
    const hash = name.hash(this.#seed);
    let slot = this.#chains.first(hash);
    while (slot !== NONE && !this.#is(name, hash, slot)) slot = this.#chains.after(slot);
    return slot;
  }

  /** @param place a block that begins with this name, which is not in the directory */
  add(name: Name, place: number): number {
    let slot = this.#free;
    if (slot === NONE) slot = this.#used++;
    else this.#free = this.#entries.integer(slot, PLACE);
    this.#size++;
    this.#entries.setInteger(slot, PLACE, place);
    this.#entries.setInteger(slot, HASH, name.hash(this.#seed));
    this.#chains.add(slot);
    return slot;
  }

  place(slot: number): number {
    return this.#entries.integer(slot, PLACE);
  }

  /** The name is in another block from now on. */
  move(slot: number, place: number): void {
    this.#entries.setInteger(slot, PLACE, place);
  }

  text(slot: number): string {
    const place = this.#entries.integer(slot, PLACE);
    return storedText(this.#arena.chunk(place), contentOf(place), this.#arena.tag(place) & KIND);
  }

  /** How many bytes the name's text counts for. */
  bytes(slot: number): number {
    const place = this.#entries.integer(slot, PLACE);
    return storedBytes(this.#arena.chunk(place), contentOf(place), this.#arena.tag(place) & KIND);
  }

  /** Forgets a name, and gives its block back. */
  remove(slot: number): void {
    this.#chains.remove(slot);
    this.#arena.release(this.#entries.integer(slot, PLACE));
    this.#entries.setInteger(slot, PLACE, this.#free);
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

  #is(name: Name, hash: number, slot: number): boolean {
    if (this.#entries.integer(slot, HASH) !== hash) return false;
    const place = this.#entries.integer(slot, PLACE);
    return (this.#arena.tag(place) & KIND) === name.kind && name.isAt(this.#arena.chunk(place), contentOf(place));
  }
}
