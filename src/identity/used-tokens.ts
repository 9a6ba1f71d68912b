import type { Awaitable } from "../contract/store.ts";
import { after, type Clock } from "../contract/time.ts";
import { derivedHandle } from "../crypto/token.ts";
import { noteHandle, noteRecord } from "../session/notes.ts";
import type { StoreAccess } from "../session/store-access.ts";

/** How long a used token is remembered after it expires, because a clock may be far behind. */
const REMEMBERED_MS = 60 * 60_000;

/** Remembers in the store, for all processes, which tokens of a kind were used. */
export class UsedTokens {
  readonly #kind: string;
  readonly #access: StoreAccess;
  readonly #clock: Clock;

  constructor(kind: string, access: StoreAccess, clock: Clock) {
    this.#kind = kind;
    this.#access = access;
    this.#clock = clock;
  }

  has(id: string): Awaitable<boolean> {
    return after(this.#access.load(this.#handle(id)), (note) => note !== undefined);
  }

  /** @param expiresAt when the token expires, in epoch milliseconds */
  add(id: string, expiresAt: number): Awaitable<unknown> {
    return this.#access.note(this.#handle(id), noteRecord("", this.#clock.now(), expiresAt + REMEMBERED_MS));
  }

  /** A hash, because an ID that others chose may be of any length. */
  #handle(id: string): string {
    return noteHandle(this.#kind, derivedHandle(`${this.#kind} ${id}`));
  }
}
