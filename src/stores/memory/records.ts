import { type Arena, contentOf } from "./arena.ts";
import { Directory } from "./directory.ts";
import { KIND_BITS, Name, storedBytes, storedText, storedWords } from "./name.ts";
import { Recent, type RecordTexts } from "./recent.ts";
import { NONE, Texts } from "./rows.ts";
import { bytesOf, isWide, readText, writeText } from "./text.ts";

/**
 * Payloads of more bytes stay on V8's heap, as they came. Those are large objects there, which the garbage collector does not move; smaller
 * ones it would: with many of 2 to 64 kB its pauses are 20 ms and more.
 */
const LARGEST_COPIED = 128 * 1_024;

/** Of a block's tag, from the lowest bit: the handle's kind, the hash's kind, then these two. */
const KIND = (1 << KIND_BITS) - 1;
const WIDE = 1 << (2 * KIND_BITS);
const KEPT = WIDE << 1;

/** The texts of sessions. A session is a block of the arena: handle, hash, payload. */
export class Records {
  readonly #arena: Arena;
  readonly #directory: Directory;
  readonly #kept = new Texts();
  readonly #recent = new Recent();
  readonly #handle = new Name();
  readonly #hash = new Name();

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#directory = new Directory(arena);
  }

  get size(): number {
    return this.#directory.size;
  }

  find(handle: string): number {
    return this.#handle.set(handle) ? this.#directory.find(this.#handle) : NONE;
  }

  /** @param handle one that there is no session of; it and the hash must be names (`areNames`) */
  insert(handle: string, texts: RecordTexts): number {
    const { secretHash, payload } = texts;
    if (!this.#handle.set(handle) || !this.#hash.set(secretHash)) throw new RangeError("too long for a name");
    const tag = this.#tagFor(this.#handle.kind, payload);
    const place = this.#arena.allocate(this.#bytesFor(this.#handle.length, tag, payload), tag);
    this.#handle.writeTo(this.#arena.chunk(place), contentOf(place));
    const slot = this.#directory.add(this.#handle, place);
    this.#write(slot, place, contentOf(place) + this.#handle.length, texts);
    return slot;
  }

  replace(slot: number, texts: RecordTexts): void {
    const { secretHash, payload } = texts;
    if (!this.#hash.set(secretHash)) throw new RangeError("too long for a name");
    const arena = this.#arena;
    const old = this.#directory.place(slot);
    const oldTag = arena.tag(old);
    const chunk = arena.chunk(old);
    const at = contentOf(old);
    const nameWords = storedWords(chunk, at, oldTag & KIND);
    const tag = this.#tagFor(oldTag & KIND, payload);
    const bytes = this.#bytesFor(nameWords, tag, payload);
    if (arena.refit(old, bytes, tag)) {
      this.#write(slot, old, at + nameWords, texts);
      return;
    }
    const place = arena.allocate(bytes, tag);
    const { words } = arena.chunk(place);
    for (let word = 0; word < nameWords; word++) words[contentOf(place) + word] = chunk.words[at + word] ?? 0;
    this.#directory.move(slot, place);
    arena.release(old);
    this.#write(slot, place, contentOf(place) + nameWords, texts);
  }

  handle(slot: number): string {
    return this.#directory.text(slot);
  }

  /** Hash and payload. */
  texts(slot: number): RecordTexts {
    const recent = this.#recent.get(slot);
    if (recent !== undefined) return recent;
    const place = this.#directory.place(slot);
    const chunk = this.#arena.chunk(place);
    const tag = this.#arena.tag(place);
    const at = contentOf(place);
    const secretHash = storedText(chunk, at + storedWords(chunk, at, tag & KIND), (tag >>> KIND_BITS) & KIND);
    const end = at * 4 + this.#arena.bytes(place);
    if ((tag & KEPT) !== 0) return { payload: this.#kept.get(slot) ?? "", secretHash };
    const payload = readText(chunk.bytes, (tag & WIDE) !== 0, this.#payloadAt(place), end);
    const texts = { payload, secretHash };
    this.#recent.set(slot, texts);
    return texts;
  }

  /** How many bytes the handle counts for. */
  handleBytes(slot: number): number {
    return this.#directory.bytes(slot);
  }

  /** How many bytes handle, hash and payload count for. */
  bytes(slot: number): number {
    const place = this.#directory.place(slot);
    const chunk = this.#arena.chunk(place);
    const tag = this.#arena.tag(place);
    const at = contentOf(place);
    const hashAt = at + storedWords(chunk, at, tag & KIND);
    const names = storedBytes(chunk, at, tag & KIND) + storedBytes(chunk, hashAt, (tag >>> KIND_BITS) & KIND);
    if ((tag & KEPT) !== 0) return names + bytesOf(this.#kept.get(slot) ?? "");
    return names + at * 4 + this.#arena.bytes(place) - this.#payloadAt(place);
  }

  remove(slot: number): void {
    if ((this.#arena.tag(this.#directory.place(slot)) & KEPT) !== 0) this.#kept.set(slot, undefined);
    this.#recent.delete(slot);
    this.#directory.remove(slot);
  }

  /** Forgets all; what the arena holds is the arena's to clear. */
  clear(): void {
    this.#directory.clear();
    this.#kept.clear();
    this.#recent.clear();
  }

  #tagFor(handleKind: number, payload: string): number {
    const wide = isWide(payload);
    const bytes = wide ? 2 * payload.length : payload.length;
    const names = handleKind | (this.#hash.kind << KIND_BITS);
    return names | (wide ? WIDE : 0) | (bytes > LARGEST_COPIED ? KEPT : 0);
  }

  #bytesFor(nameWords: number, tag: number, payload: string): number {
    const names = (nameWords + this.#hash.length) * 4;
    if ((tag & KEPT) !== 0) return names;
    return names + ((tag & WIDE) !== 0 ? 2 * payload.length : payload.length);
  }

  /** What follows the handle. */
  #write(slot: number, place: number, at: number, { payload, secretHash }: RecordTexts): void {
    const chunk = this.#arena.chunk(place);
    const tag = this.#arena.tag(place);
    this.#hash.writeTo(chunk, at);
    const isKept = (tag & KEPT) !== 0;
    this.#kept.set(slot, isKept ? payload : undefined);
    if (!isKept) writeText(chunk.bytes, (tag & WIDE) !== 0, payload, (at + this.#hash.length) * 4);
    if (isKept) this.#recent.delete(slot);
    else this.#recent.replace(slot, { payload, secretHash });
  }

  /** In bytes of the chunk. */
  #payloadAt(place: number): number {
    const chunk = this.#arena.chunk(place);
    const tag = this.#arena.tag(place);
    const at = contentOf(place);
    const hashAt = at + storedWords(chunk, at, tag & KIND);
    return (hashAt + storedWords(chunk, hashAt, (tag >>> KIND_BITS) & KIND)) * 4;
  }
}
