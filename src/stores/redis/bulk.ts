import { isNote, NOTE } from "../../contract/store.ts";
import { inBatches, Semaphore } from "../concurrency.ts";
import type { Commands } from "./commands.ts";
import type { Group } from "./groups.ts";
import { type Keys, memberOf, SHARDS, shardOf } from "./keys.ts";
import { BATCH, eachShard, type Listing } from "./listing.ts";
import type { RedisRecords } from "./records.ts";
import { listOf, numberOf, textOf } from "./replies.ts";
import { SWEEP } from "./scripts.ts";
import { ANONYMOUS } from "./value.ts";

/** How many shards are emptied at once. */
const SHARDS_AT_ONCE = 8;
/** A sweep looks at this many times its limit: most sessions may be gone. */
const LOOKS = 10;

/** An entry of the index "ends". */
interface Due {
  /** The user and the link as the entry has them. */
  labels: string;
  userId: string | null;
  link?: string;
  handle: string;
}

/** Ends many sessions: a user's, everyone's, or the expired ones. */
export class Bulk {
  readonly #commands: Commands;
  readonly #keys: Keys;
  readonly #listing: Listing;
  readonly #records: RedisRecords;

  constructor(commands: Commands, keys: Keys, listing: Listing, records: RedisRecords) {
    this.#commands = commands;
    this.#keys = keys;
    this.#listing = listing;
    this.#records = records;
  }

  /**
   * Ends a group's sessions. Repeats until the index has no new handles, because a session may have
   * been replaced before its turn. Sessions go before index entries, so that after a failure the
   * index is complete.
   */
  async allOf(group: Group, except: string | undefined, now: number): Promise<number> {
    const { index } = group;
    const named = new Set<string>();
    for (let all = 0; ; ) {
      const before = named.size;
      const places = await this.#listing.placesOf(group, now, named);
      const handles = places.map(({ handle }) => handle).filter((handle) => handle !== except);
      let ended = 0;
      for (let begin = 0; begin < handles.length; begin += BATCH) {
        const batch = handles.slice(begin, begin + BATCH);
        ended += await this.#delete(batch, now, group);
        await this.#commands.write(index, ["ZREM", index, ...batch.map(memberOf)]);
      }
      all += ended;
      if (named.size === before && ended === handles.length) return all;
    }
  }

  async everyone(except: string | undefined, now: number): Promise<number> {
    const spared = except === undefined ? -1 : shardOf(except);
    const semaphore = new Semaphore(SHARDS_AT_ONCE);
    const counts = await eachShard((shard) =>
      semaphore.run(() => this.#everyoneIn(shard, shard === spared ? except : undefined, now)),
    );
    return sum(counts);
  }

  async #everyoneIn(shard: number, except: string | undefined, now: number): Promise<number> {
    const key = this.#keys.handles(shard);
    for (let ended = 0; ; ) {
      const reply = await this.#commands.read(key, ["ZRANGE", key, "0", String(BATCH)]);
      const handles = listOf(reply)
        .map(textOf)
        .filter((handle) => handle !== except);
      if (handles.length === 0) return ended;
      ended += await this.#delete(handles, now);
    }
  }

  async #delete(handles: readonly string[], now: number, of?: Group): Promise<number> {
    const results = await Promise.all(handles.map((handle) => this.#records.delete(handle, now, of)));
    return results.filter(Boolean).length;
  }

  /**
   * Removes at most `limit` expired sessions. Sessions that were touched stay, and the index gets
   * their new expiry. Entries of sessions that are gone are removed and not counted.
   */
  async expired(limit: number, now: number): Promise<number> {
    let removed = 0;
    for (let looked = 0, isMore = true; isMore && removed < limit && looked < LOOKS * limit; ) {
      const found = await this.#due(limit - removed, now);
      removed += sum(await Promise.all(found.due.map(([shard, entries]) => this.#sweep(shard, entries, now))));
      looked += sum(found.due.map(([, entries]) => entries.length));
      isMore = found.isMore;
    }
    return removed;
  }

  /** Returns at most `limit` due entries by shard, and whether there may be more. */
  async #due(limit: number, now: number): Promise<{ due: [shard: number, entries: Due[]][]; isMore: boolean }> {
    const most = 4 * Math.ceil(limit / SHARDS);
    const replies = await eachShard((shard) => {
      const key = this.#keys.ends(shard);
      return this.#commands.read(key, ["ZRANGE", key, "-inf", String(now), "BYSCORE", "LIMIT", "0", String(most)]);
    });
    const due: [number, Due[]][] = [];
    let room = limit;
    let isMore = false;
    for (const [shard, reply] of replies.entries()) {
      const found = listOf(reply);
      const entries = found.slice(0, room).map((entry) => dueOf(textOf(entry)));
      room -= entries.length;
      isMore ||= found.length === most || found.length > entries.length;
      if (entries.length > 0) due.push([shard, entries]);
    }
    return { due, isMore };
  }

  async #sweep(shard: number, entries: readonly Due[], now: number): Promise<number> {
    const ends = this.#keys.ends(shard);
    const keys = [ends, this.#keys.handles(shard), ...entries.map(({ handle }) => this.#keys.session(handle))];
    const args = [String(now), ...entries.flatMap((entry) => [entry.labels, entry.handle])];
    const [removed, ...gone] = listOf(await this.#commands.run(SWEEP, keys, args));
    // The indexes of users and links are in other slots. The shard's entry goes last: it brings an
    // unfinished sweep back here.
    const named = entries.filter((entry, i) => numberOf(gone[i]) === 1 && entry.labels !== ANONYMOUS);
    if (named.length > 0) {
      await inBatches(named, BATCH, (entry) =>
        Promise.all(
          this.#keys
            .indexes(entry)
            .map((index) => this.#commands.write(index, ["ZREM", index, memberOf(entry.handle)])),
        ),
      );
      await this.#commands.write(ends, ["ZREM", ends, ...named.map((entry) => entry.labels + entry.handle)]);
    }
    return numberOf(removed);
  }
}

function dueOf(entry: string): Due {
  const userEnd = labelEnd(entry, 0);
  const userId = userEnd === 4 ? null : String(JSON.parse(entry.slice(4, userEnd)));
  if (!isNote(entry.slice(userEnd))) return { labels: entry.slice(0, userEnd), userId, handle: entry.slice(userEnd) };
  const linkStart = userEnd + NOTE.length;
  const end = labelEnd(entry, linkStart);
  const link = String(JSON.parse(entry.slice(linkStart + 4, end)));
  return { labels: entry.slice(0, end), userId, link, handle: entry.slice(end) };
}

function labelEnd(entry: string, start: number): number {
  return start + 4 + Number.parseInt(entry.slice(start, start + 4), 36);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
