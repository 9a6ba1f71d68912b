import type { KeyObject } from "node:crypto";
import { type KeyRing, macOf } from "./key-ring.ts";

/** Whom a session was made for, and when: neither ever changes. */
export interface Owner {
  userId: string;
  createdAt: number;
}

/**
 * What a store keeps of the secret of a user's session, where there is a key: a MAC over the secret's hash, the user and the beginning. Whoever
 * can write to the store, and knows their own secret, can't make their session another user's: for that they would need the key.
 */
export class OwnerHashes {
  readonly #keys: readonly KeyObject[];

  constructor(ring: KeyRing) {
    this.#keys = ring.keysFor("owner");
  }

  /** What is stored: by the newest key. */
  hash(secretHash: string, owner: Owner): string {
    return this.all(secretHash, owner)[0] ?? "";
  }

  /** What may have been stored, by each key, the newest first. */
  all(secretHash: string, { userId, createdAt }: Owner): string[] {
    // JSON, because UTF-8 has no half surrogate pairs, and two users must not be one. Stores keep whole milliseconds.
    const text = `${secretHash}.${Math.floor(createdAt)}.${JSON.stringify(userId)}`;
    return this.#keys.map((key) => macOf(key, text));
  }
}
