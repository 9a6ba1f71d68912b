import type { SessionPage, StoredSession } from "../../contract/store.ts";
import { inBatches } from "../concurrency.ts";
import { Newest, nextPage, type PageStart } from "../paging.ts";
import type { Commands } from "./commands.ts";
import { type Group, isIn, startBytes } from "./groups.ts";
import { handleOf, type Keys, memberOf, SHARDS, shardOf } from "./keys.ts";
import { YOUNG_MS } from "./records.ts";
import { listOf, numberOf, textOf } from "./replies.ts";
import { FORGET } from "./scripts.ts";
import { decodeValue, timesOf } from "./value.ts";

/** How many commands are sent at once. More would delay other calls. */
export const BATCH = 500;

/** Returns the places in a list after `start`, at most `room`. Fewer are the last ones. */
type Source = (room: number, start: PageStart | undefined) => Promise<readonly PageStart[]>;

/** Lists and counts sessions by the indexes, and removes stale index entries. */
export class Listing {
  readonly #commands: Commands;
  readonly #keys: Keys;

  constructor(commands: Commands, keys: Keys) {
    this.#commands = commands;
    this.#keys = keys;
  }

  /** Lists everyone's sessions, shard by shard and within a shard by handle. */
  everyone(limit: number, start: PageStart | undefined, now: number): Promise<SessionPage> {
    const source: Source = async (room, after) => {
      const places: PageStart[] = [];
      let shard = after === undefined ? 0 : shardOf(after.handle);
      let min = after === undefined ? "-" : `(${after.handle}`;
      // Twice as many shards each time, because most of them may be empty.
      for (let width = 1; places.length < room && shard < SHARDS; width *= 2) {
        const most = room - places.length;
        const shards = Array.from({ length: Math.min(width, SHARDS - shard) }, (_, i) => shard + i);
        const found = await Promise.all(shards.map((each) => this.#handlesIn(each, min, most)));
        places.push(...found.flat().map((handle) => ({ touchedAt: 0, handle })));
        shard += shards.length;
        min = "-";
      }
      return places.slice(0, room);
    };
    return this.#page(source, limit, start, now, (missing) => this.#forget(missing));
  }

  /** Lists a group's sessions: reads the heads of all of them, then the values of the page. */
  async ofGroup(group: Group, limit: number, start: PageStart | undefined, now: number): Promise<SessionPage> {
    const places = await this.placesOf(group, now);
    const source: Source = async (room, after) => {
      const newest = new Newest(room, after);
      for (const place of places) newest.offer(place);
      return newest.places;
    };
    return this.#page(source, limit, start, now);
  }

  /**
   * Returns a group's unexpired sessions, unordered. @param named collects all handles in the
   * group's index
   */
  async placesOf(group: Group, now: number, named?: Set<string>): Promise<PageStart[]> {
    const { index } = group;
    const entries = pairs(listOf(await this.#commands.read(index, ["ZRANGE", index, "0", "-1", "WITHSCORES"])));
    const end = String(startBytes(group) - 1);
    const places: PageStart[] = [];
    const missing: string[] = [];
    await inBatches(entries, BATCH, async ([member, createdAt]) => {
      const handle = handleOf(textOf(member));
      named?.add(handle);
      const key = this.#keys.session(handle);
      const head = textOf(await this.#commands.read(key, ["GETRANGE", key, "0", end]));
      const isMine = head !== "" && (isIn(group, head) ?? isIn(group, (await this.#value(handle)) ?? ""));
      if (!isMine) {
        if (numberOf(createdAt) < now - YOUNG_MS) missing.push(handle);
        return;
      }
      const { touchedAt, expiresAt } = timesOf(head);
      if (expiresAt > now) places.push({ touchedAt, handle });
    });
    await inBatches(missing, BATCH, (handle) => this.#commands.write(index, ["ZREM", index, memberOf(handle)]));
    return places;
  }

  /** Counts all sessions, including expired ones that were not swept yet. */
  async countEveryone(): Promise<number> {
    const counts = await eachShard((shard) => {
      const key = this.#keys.handles(shard);
      return this.#commands.read(key, ["ZCARD", key]);
    });
    return counts.reduce<number>((sum, count) => sum + numberOf(count), 0);
  }

  async #handlesIn(shard: number, min: string, limit: number): Promise<string[]> {
    const key = this.#keys.handles(shard);
    const reply = await this.#commands.read(key, ["ZRANGE", key, min, "+", "BYLEX", "LIMIT", "0", String(limit)]);
    return listOf(reply).map(textOf);
  }

  /** Reads until the page is full or the list ends, because index entries may lack sessions. */
  async #page(
    source: Source,
    limit: number,
    start: PageStart | undefined,
    now: number,
    forget?: (handles: readonly string[]) => Promise<unknown>,
  ): Promise<SessionPage> {
    const sessions: StoredSession[] = [];
    const kept: PageStart[] = [];
    for (let after = start; ; ) {
      // One session more than the page tells whether another page follows.
      const room = limit + 1 - sessions.length;
      const places = await source(room, after);
      const values = await inBatches(places, BATCH, ({ handle }) => this.#value(handle));
      const missing: string[] = [];
      for (const [position, place] of places.entries()) {
        const { handle } = place;
        const value = values[position];
        if (value === undefined) missing.push(handle);
        // Damaged sessions are left out, so that the others can be shown and revoked.
        const record = value === undefined ? undefined : decodeValue(handle, value);
        if (record === undefined || record.expiresAt <= now) continue;
        sessions.push({ handle, ...record });
        kept.push(place);
      }
      if (missing.length > 0) await forget?.(missing);
      if (places.length < room || sessions.length > limit) break;
      after = places.at(-1);
    }
    return { sessions: sessions.slice(0, limit), ...nextPage(kept, limit) };
  }

  async #value(handle: string): Promise<string | undefined> {
    const key = this.#keys.session(handle);
    const reply = await this.#commands.read(key, ["GET", key]);
    return reply === null ? undefined : textOf(reply);
  }

  #forget(handles: readonly string[]): Promise<unknown> {
    return inBatches(handles, BATCH, (handle) =>
      this.#commands.run(FORGET, [this.#keys.handles(shardOf(handle)), this.#keys.session(handle)], [handle]),
    );
  }
}

/** Queries all shards at once. */
export function eachShard<T>(query: (shard: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: SHARDS }, (_, shard) => query(shard)));
}

/** Pairs members with scores, which RESP2 and scripts return in turn, and RESP3 as pairs. */
function pairs(list: unknown[]): [unknown, unknown][] {
  if (Array.isArray(list[0])) return list.map((pair) => (Array.isArray(pair) ? [pair[0], pair[1]] : [pair, undefined]));
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]);
}
