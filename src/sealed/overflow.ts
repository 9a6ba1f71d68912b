import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import { hashSecret, sameHash, type TokenSource } from "../crypto/token.ts";
import type { StoreAccess } from "../session/store-access.ts";

/**
 * Keeps each payload that is too large for its cookie in a separate record, which the seal names.
 *
 * A record is written once, under a new name. So each seal keeps its meaning, whichever of several
 * parallel responses reaches the browser last. A newer record replaces none: a record ends with the
 * seals that name it, or with its session.
 *
 * The store must encrypt, and detect a record that was moved or changed. A record is also bound to
 * its session and version, so that a seal opens no other.
 */
export class Overflow {
  readonly #access: StoreAccess;
  readonly #tokens: TokenSource;

  constructor(access: StoreAccess, tokens: TokenSource) {
    this.#access = access;
    this.#tokens = tokens;
  }

  /** Stores a payload. @returns the record's name, for the seal */
  put(handle: string, record: SessionRecord): Awaitable<string> {
    const name = this.#tokens.handle();
    const { payload, createdAt, touchedAt, expiresAt, version } = record;
    const secretHash = bindingOf(handle, version);
    const kept = { payload, version: 1, secretHash, userId: null, createdAt, touchedAt, expiresAt };
    return after(this.#access.create(name, kept), (created) => {
      if (!created) throw new SojournError("STORE_UNAVAILABLE", "the session store rejects a new handle");
      return name;
    });
  }

  /** Returns the payload of this name if it belongs to this version of the session. */
  payload(name: string, handle: string, version: number): Awaitable<string | undefined> {
    return after(this.#access.load(name), (kept) =>
      kept !== undefined && sameHash(kept.secretHash, bindingOf(handle, version)) ? kept.payload : undefined,
    );
  }

  /** Extends a record's life to that of its next seal. Returns `false` if the record is gone. */
  touch(name: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    return this.#access.touch(name, touchedAt, expiresAt);
  }

  delete(name: string): Awaitable<boolean> {
    return this.#access.delete(name);
  }

  /** Deletes a record that no sent seal names, and ignores a failure. */
  abandon(name: string): void {
    this.#access.abandon(name);
  }
}

/** Replaces the secret's hash. No secret has this hash, so the record never opens as a session. */
function bindingOf(handle: string, version: number): string {
  return hashSecret(`overflow of ${handle}, version ${version}`);
}
