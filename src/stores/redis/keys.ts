/** How many parts the sessions are spread over. Part of the layout: another number would not find what is stored. */
export const SHARDS = 256;

const TAGS = Array.from({ length: SHARDS }, (_, shard) => shard.toString(16).padStart(2, "0"));

/**
 * The names of all keys, `sojourn:` standing for the prefix:
 *
 *     sojourn:{a7}:<handle>     a session
 *     sojourn:newest:{a7}       the sessions of its shard by last use
 *     sojourn:ends:{a7}         the same by the end that they had when they were created
 *     sojourn:user:<user ID>    a user's sessions; the ID escaped
 *
 * The braces are the hash tag of Redis Cluster: a session shares its slot with the indexes of its shard, so a script may
 * change them together. No key is ever looked for by a pattern, so no character of a prefix means anything.
 *
 * One prefix may begin with another, as `shop:` and `shop:user:` do: what follows the prefix is recognized from the key's
 * end, because neither the engine's handles nor an escaped user ID holds a colon or a brace.
 */
export class Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    if (typeof prefix !== "string") throw new TypeError("RedisStore: prefix must be a string");
    // The first brace begins the hash tag (Redis Cluster specification): it must hold something, and the same for all keys.
    if (/^[^{]*\{(?:\}|[^}]*$)/.test(prefix)) {
      throw new TypeError('RedisStore: a brace in prefix must enclose something, as in "{shop}:"');
    }
    this.#prefix = prefix;
  }

  session(handle: string): string {
    return `${this.#prefix}{${TAGS[shardOf(handle)]}}:${handle}`;
  }

  newest(shard: number): string {
    return `${this.#prefix}newest:{${TAGS[shard]}}`;
  }

  ends(shard: number): string {
    return `${this.#prefix}ends:{${TAGS[shard]}}`;
  }

  user(userId: string): string {
    return `${this.#prefix}user:${userId.replace(/[^\w.@-]/g, escaped)}`;
  }
}

/** FNV-1a: handles are random, but a store's user may choose other ones. */
export function shardOf(handle: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < handle.length; i++) hash = Math.imul(hash ^ handle.charCodeAt(i), 0x01000193);
  return ((hash >>> 16) ^ hash) & (SHARDS - 1);
}

/** One UTF-16 unit each, so that lone surrogates, which UTF-8 lacks, stay different. */
function escaped(unit: string): string {
  return `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
