import { BATCH } from "./batches.ts";
import type { Commands } from "./commands.ts";
import { type Keys, SHARDS, shardOf } from "./keys.ts";
import { eachShard, type Listing } from "./listing.ts";
import type { Records } from "./records.ts";
import { listOf, numberOf, textOf } from "./replies.ts";
import { SWEEP } from "./scripts.ts";
import { owner } from "./value.ts";

/** Shards that are emptied at the same time. */
const SHARDS_AT_ONCE = 8;

/** A sweep looks at this many times as many entries as it may remove sessions: most may be of sessions long gone. */
const LOOKS = 10;

/** An entry of the index of ends: whose session, and its handle. */
interface Due {
  owner: string;
  handle: string;
}

/** Ends many sessions: all of a user, all of them, or those whose time has come. */
export class Ending {
  readonly #commands: Commands;
  readonly #keys: Keys;
  readonly #listing: Listing;
  readonly #records: Records;

  constructor(commands: Commands, keys: Keys, { listing, records }: { listing: Listing; records: Records }) {
    this.#commands = commands;
    this.#keys = keys;
    this.#listing = listing;
    this.#records = records;
  }

  /**
   * Looks again until the index names nothing new. A session that had gone by its turn may have been replaced, and the index names the
   * new one since.
   */
  async allOfUser(userId: string, except: string | undefined, now: number): Promise<number> {
    const named = new Set<string>();
    for (let all = 0; ; ) {
      const before = named.size;
      const places = await this.#listing.placesOf(userId, now, named);
      const handles = places.map(({ handle }) => handle).filter((handle) => handle !== except);
      const ended = await this.#ofUser(userId, handles, now);
      all += ended;
      if (named.size === before && ended === handles.length) return all;
    }
  }

  /** Sessions first, so that after a failure the index still names what is left. */
  async #ofUser(userId: string, handles: readonly string[], now: number): Promise<number> {
    const index = this.#keys.user(userId);
    const mine = owner(userId);
    let ended = 0;
    for (let begin = 0; begin < handles.length; begin += BATCH) {
      const batch = handles.slice(begin, begin + BATCH);
      const results = await Promise.all(batch.map((handle) => this.#records.delete(handle, now, mine)));
      ended += results.filter(Boolean).length;
      await this.#commands.write(index, ["ZREM", index, ...batch]);
    }
    return ended;
  }

  async everyone(except: string | undefined, now: number): Promise<number> {
    let ended = 0;
    const spared = except === undefined ? -1 : shardOf(except);
    const waiting = Array.from({ length: SHARDS }, (_, shard) => shard);
    const worker = async () => {
      for (let shard = waiting.pop(); shard !== undefined; shard = waiting.pop()) {
        const here = await this.#shard(shard, shard === spared ? except : undefined, now);
        ended += here;
      }
    };
    await Promise.all(Array.from({ length: SHARDS_AT_ONCE }, worker));
    return ended;
  }

  async #shard(shard: number, except: string | undefined, now: number): Promise<number> {
    const key = this.#keys.newest(shard);
    let ended = 0;
    for (;;) {
      const reply = await this.#commands.read(key, ["ZRANGE", key, "0", String(BATCH)]);
      const handles = listOf(reply)
        .map(textOf)
        .filter((handle) => handle !== except);
      if (handles.length === 0) return ended;
      const results = await Promise.all(handles.map((handle) => this.#records.delete(handle, now)));
      ended += results.filter(Boolean).length;
    }
  }

  /**
   * Removes expired sessions, at most `limit`. What was touched since it was created gets its new end and stays. What
   * is gone already, by a logout or by Redis itself, is taken out of the indexes and not counted.
   */
  async expired(limit: number, now: number): Promise<number> {
    let removed = 0;
    for (let looked = 0, isMore = true; isMore && removed < limit && looked < LOOKS * limit; ) {
      const found = await this.#due(limit - removed, now);
      const counts = await Promise.all(found.due.map(([shard, entries]) => this.#sweep(shard, entries, now)));
      removed += counts.reduce((sum, count) => sum + count, 0);
      looked += found.due.reduce((sum, [, entries]) => sum + entries.length, 0);
      isMore = found.isMore;
    }
    return removed;
  }

  /** By shard, no more than `limit` altogether, and whether there may be more. */
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
    const keys = [ends, this.#keys.newest(shard), ...entries.map(({ handle }) => this.#keys.session(handle))];
    const args = [String(now), ...entries.flatMap((entry) => [entry.owner, entry.handle])];
    const [removed, ...gone] = listOf(await this.#commands.run(SWEEP, keys, args));
    // The user's index lies elsewhere; only when it has forgotten the session may this shard's.
    const ofUsers = entries.filter((entry, i) => numberOf(gone[i]) === 1 && entry.owner !== owner(null));
    if (ofUsers.length > 0) {
      await Promise.all(
        ofUsers.map((entry) => {
          const index = this.#keys.user(userOf(entry));
          return this.#commands.write(index, ["ZREM", index, entry.handle]);
        }),
      );
      await this.#commands.write(ends, ["ZREM", ends, ...ofUsers.map((entry) => entry.owner + entry.handle)]);
    }
    return numberOf(removed);
  }
}

function dueOf(entry: string): Due {
  const end = 4 + Number.parseInt(entry.slice(0, 4), 36);
  return { owner: entry.slice(0, end), handle: entry.slice(end) };
}

function userOf({ owner: text }: Due): string {
  return String(JSON.parse(text.slice(4)));
}
