const SHARDS = 1024;

/**
 * A map from text to a slot, in a thousand parts: one Map of a million entries stops the process for 0.1 s whenever
 * it has to grow, a part of it for a tenth of a millisecond.
 */
export class SlotMap {
  readonly #shards = new Array<Map<string, number> | undefined>(SHARDS).fill(undefined);

  get(key: string): number | undefined {
    return this.#shards[shardOf(key)]?.get(key);
  }

  set(key: string, slot: number): void {
    const shard = shardOf(key);
    const map = this.#shards[shard];
    if (map === undefined) this.#shards[shard] = new Map([[key, slot]]);
    else map.set(key, slot);
  }

  delete(key: string): void {
    this.#shards[shardOf(key)]?.delete(key);
  }
}

/**
 * By three characters near the end. Those of a random handle are random, except the last, which holds two bits of it;
 * users that are numbered differ there too.
 */
function shardOf(key: string): number {
  const end = key.length;
  const hash =
    Math.imul(Math.imul(key.charCodeAt(end - 2), 31) + key.charCodeAt(end - 3), 31) + key.charCodeAt(end - 4);
  return (hash ^ (hash >>> 10)) & (SHARDS - 1);
}
