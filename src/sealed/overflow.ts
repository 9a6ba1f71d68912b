import { SojournError } from "../contract/errors.ts";
import type { Awaitable, SessionRecord } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import { hashSecret, sameHash, type TokenSource } from "../crypto/token.ts";
import type { StoreAccess } from "../session/store-access.ts";

/**
 * The payloads that are too large for their clients' cookies, each in a record of its own, which the seal names.
 *
 * A record is written once and under a name that nobody had before: each seal goes on meaning exactly what it meant, whichever of
 * several parallel answers reaches the browser last. So none is deleted because a newer one was written; it ends when the seals that name it
 * do, or with its session. The store is expected to encrypt, and to notice a record that was moved or changed; a record is bound to the session and
 * the version that it belongs to besides, so that a seal opens no other.
 */
export class Overflow {
  readonly #access: StoreAccess;
  readonly #tokens: TokenSource;

  constructor(access: StoreAccess, tokens: TokenSource) {
    this.#access = access;
    this.#tokens = tokens;
  }

  /** Keeps a payload. @returns what names it in the seal */
  put(handle: string, record: SessionRecord): Awaitable<string> {
    const name = this.#tokens.handle();
    const { payload, createdAt, touchedAt, expiresAt, version } = record;
    const secretHash = bindingOf(handle, version);
    const kept = { payload, version: 1, secretHash, userId: null, createdAt, touchedAt, expiresAt };
    return after(this.#access.create(name, kept), (created) => {
      if (!created) throw new SojournError("STORE_UNAVAILABLE", "the session store refuses a new handle");
      return name;
    });
  }

  /** The payload of this name, if it is this session's in this version. */
  payload(name: string, handle: string, version: number): Awaitable<string | undefined> {
    return after(this.#access.load(name), (kept) =>
      kept !== undefined && sameHash(kept.secretHash, bindingOf(handle, version)) ? kept.payload : undefined,
    );
  }

  /** Has it live as long as the seal that is about to name it. `false` if it is not there any more. */
  touch(name: string, touchedAt: number, expiresAt: number): Awaitable<boolean> {
    return this.#access.touch(name, touchedAt, expiresAt);
  }

  delete(name: string): Awaitable<boolean> {
    return this.#access.delete(name);
  }

  /** Deletes what no seal names that has left, as far as the store lets it. */
  abandon(name: string): void {
    this.#access.abandon(name);
  }
}

/** In the place of a secret's hash: no secret has this one, so that nothing in the store opens as a session. */
function bindingOf(handle: string, version: number): string {
  return hashSecret(`overflow of ${handle}, version ${version}`);
}
