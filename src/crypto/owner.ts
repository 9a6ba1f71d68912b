import { type KeyRing, macOf } from "./key-ring.ts";

/** The user of a session and its beginning. Neither ever changes. */
export interface Owner {
  userId: string;
  createdAt: number;
}

/**
 * Hashes the secret of a user's session for the store, if there is a key: a MAC over the secret's
 * hash, the user and the beginning. An attacker who can write to the store and knows their own
 * secret still can't turn their session into another user's without the key.
 */
export class OwnerHashes {
  readonly #ring: KeyRing;

  constructor(ring: KeyRing) {
    this.#ring = ring;
  }

  /** Returns the newest key's hash, which is stored. */
  hash(secretHash: string, owner: Owner): string {
    return this.all(secretHash, owner)[0] ?? "";
  }

  /** Returns the hashes of all keys, the newest first, any of which may be stored. */
  all(secretHash: string, { userId, createdAt }: Owner): string[] {
    // JSON escapes half surrogate pairs, which UTF-8 can't hold, so two users never share a text.
    // Stores keep whole milliseconds.
    const text = `${secretHash}.${Math.floor(createdAt)}.${JSON.stringify(userId)}`;
    return this.#ring.keysFor("owner").map((key) => macOf(key, text));
  }
}
