/** How many parts the sessions are spread over. Part of the layout: another number would not find what is stored. */
export const SHARDS = 256;

const TAGS = Array.from({ length: SHARDS }, (_, shard) => shard.toString(16).padStart(2, "0"));

/**
 * The names of all keys, `sojourn:` standing for the prefix:
 *
 *     sojourn:{a7}:<handle>     a session
 *     sojourn:{a7}newest        the sessions of its shard by last use
 *     sojourn:{a7}ends          the same by the end that they had when they were created
 *     sojourn:user:<user ID>    a user's sessions
 *
 * The braces are the hash tag of Redis Cluster: a session shares its slot with the indexes of its shard, so a script may
 * change them together. No key is ever looked for by a pattern, so no character of a prefix means anything.
 */
export class Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    if (typeof prefix !== "string") throw new TypeError("RedisStore: prefix must be a string");
    // An empty hash tag is none (Redis Cluster specification): a shard's keys would lie on different nodes.
    const brace = prefix.indexOf("{");
    if (brace >= 0 && prefix[brace + 1] === "}")
      throw new TypeError('RedisStore: prefix must not contain an empty "{}"');
    this.#prefix = prefix;
  }

  session(handle: string): string {
    return `${this.#prefix}{${TAGS[shardOf(handle)]}}:${handle}`;
  }

  newest(shard: number): string {
    return `${this.#prefix}{${TAGS[shard]}}newest`;
  }

  ends(shard: number): string {
    return `${this.#prefix}{${TAGS[shard]}}ends`;
  }

  user(userId: string): string {
    return `${this.#prefix}user:${userId}`;
  }
}

/** FNV-1a: handles are random, but a store's user may choose other ones. */
export function shardOf(handle: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < handle.length; i++) hash = Math.imul(hash ^ handle.charCodeAt(i), 0x01000193);
  return ((hash >>> 16) ^ hash) & (SHARDS - 1);
}
