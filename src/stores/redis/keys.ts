/** The number of shards. Another number would not find stored sessions. */
export const SHARDS = 256;

const TAGS = Array.from({ length: SHARDS }, (_, shard) => shard.toString(16).padStart(2, "0"));

/**
 * The names of all keys, here with the prefix `sojourn:`.
 *
 *     sojourn:{a7}:<handle>     a session
 *     sojourn:handles:{a7}      the handles of a shard's sessions
 *     sojourn:ends:{a7}         the same by the expiry that they had when they were created
 *     sojourn:user:<user ID>    a user's sessions; the ID is escaped
 *     sojourn:link:<link>       a link's sessions; the link is escaped
 *
 * The braces are the hash tag of Redis Cluster. A session has the slot of its shard's indexes, so
 * that one script can change them together. The store never searches keys by pattern, so no
 * character of a prefix is special.
 *
 * One prefix may begin with another, such as `shop:` and `shop:user:`. Their keys still differ,
 * because neither the engine's handles nor escaped names contain a colon or a brace.
 */
export class Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    if (typeof prefix !== "string") throw new TypeError("RedisStore: prefix must be a string");
    // The first brace begins the hash tag, which must have content, equal for all keys.
    if (/^[^{]*\{(?:\}|[^}]*$)/.test(prefix)) {
      throw new TypeError('RedisStore: a brace in prefix must enclose something, as in "{shop}:"');
    }
    this.#prefix = prefix;
  }

  session(handle: string): string {
    return `${this.#prefix}{${TAGS[shardOf(handle)]}}:${handle}`;
  }

  handles(shard: number): string {
    return `${this.#prefix}handles:{${TAGS[shard]}}`;
  }

  ends(shard: number): string {
    return `${this.#prefix}ends:{${TAGS[shard]}}`;
  }

  user(userId: string): string {
    return `${this.#prefix}user:${escaped(userId)}`;
  }

  link(link: string): string {
    return `${this.#prefix}link:${escaped(link)}`;
  }

  /** Returns the indexes of a session's user and link, if it has them. */
  indexes({ userId, link }: { userId: string | null; link?: string }): string[] {
    return [...(userId === null ? [] : [this.user(userId)]), ...(link === undefined ? [] : [this.link(link)])];
  }
}

/**
 * Returns a session's entry in the index of its user or link: its shard, in two digits, then its
 * handle. So a script can find the session's keys.
 */
export function memberOf(handle: string): string {
  return `${TAGS[shardOf(handle)]}${handle}`;
}

/** Returns the handle of an entry. */
export function handleOf(member: string): string {
  return member.slice(2);
}

function escaped(name: string): string {
  // By UTF-16 unit, because UTF-8 would merge lone surrogates.
  return name.replace(/[^\w.@-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Hashes with FNV-1a, because handles need not be random. */
export function shardOf(handle: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < handle.length; i++) hash = Math.imul(hash ^ handle.charCodeAt(i), 0x01000193);
  return ((hash >>> 16) ^ hash) & (SHARDS - 1);
}
