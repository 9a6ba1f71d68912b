import type { SessionPage, StoredSession } from "../../contract/store.ts";
import { Newest, nextPage, type PageStart } from "../paging.ts";
import { inBatches } from "./batches.ts";
import type { Commands } from "./commands.ts";
import { type Keys, SHARDS, shardOf } from "./keys.ts";
import { listOf, numberOf, textOf } from "./replies.ts";
import { FORGET, PAGE } from "./scripts.ts";
import { decodeValue, HEAD_BYTES, owner, ownerOf, timesOf } from "./value.ts";

/** Places in a list after `start`, at most `room` of them, in order. Fewer than `room` means: these are the last. */
type Source = (room: number, start: PageStart | undefined) => Promise<readonly PageStart[]>;

/** An entry of a user's index whose session isn't there is only dropped after this long: it may be on its way. */
const YOUNG_MS = 60_000;

/** Reads sessions by their indexes. What an index names and Redis no longer has is dropped when it is met. */
export class Listing {
  readonly #commands: Commands;
  readonly #keys: Keys;

  constructor(commands: Commands, keys: Keys) {
    this.#commands = commands;
    this.#keys = keys;
  }

  /** Everyone's sessions: a command for each shard, and a few more where they are unevenly spread. */
  everyone(limit: number, start: PageStart | undefined, now: number): Promise<SessionPage> {
    const source: Source = async (room, after) => {
      const newest = new Newest(room, after);
      let share = Math.ceil((2 * room) / SHARDS) + 2;
      let asked = Array.from({ length: SHARDS }, (_, shard) => ({ shard, from: after }));
      while (asked.length > 0) {
        const answers = await Promise.all(
          asked.map(async ({ shard, from }) => ({ shard, places: await this.#placesIn(shard, from, share) })),
        );
        for (const { places } of answers) for (const place of places) newest.offer(place);
        // Who gave as many as were asked for, the last of them still among the newest, may have more of those.
        asked = answers
          .map(({ shard, places }) => ({ shard, from: places.length < share ? undefined : places.at(-1) }))
          .filter(({ from }) => from !== undefined && newest.places.includes(from));
        share *= 4;
      }
      return newest.places;
    };
    return this.#page(source, limit, start, now, (missing) => this.#forget(missing));
  }

  /** The first of a shard after a place. Scores are negative, so that equal times come by their handles, as in any list. */
  async #placesIn(shard: number, after: PageStart | undefined, most: number): Promise<PageStart[]> {
    const from = after === undefined ? ["-inf", ""] : [String(-after.touchedAt), after.handle];
    const reply = await this.#commands.ask(PAGE, [this.#keys.newest(shard)], [...from, String(most)]);
    return pairs(listOf(reply)).map(([score, handle]) => ({ touchedAt: -numberOf(score), handle: textOf(handle) }));
  }

  /** A user's sessions: the beginnings of all of them are read, and then those of the page. */
  async ofUser(userId: string, limit: number, start: PageStart | undefined, now: number): Promise<SessionPage> {
    const places = await this.placesOf(userId, now);
    const source: Source = async (room, after) => {
      const newest = new Newest(room, after);
      for (const place of places) newest.offer(place);
      return newest.places;
    };
    return this.#page(source, limit, start, now);
  }

  /** The unexpired sessions of a user, in no order. @param named takes up every handle that the index has, whatever became of it */
  async placesOf(userId: string, now: number, named?: Set<string>): Promise<PageStart[]> {
    const index = this.#keys.user(userId);
    const entries = pairs(listOf(await this.#commands.read(index, ["ZRANGE", index, "0", "-1", "WITHSCORES"])));
    const mine = owner(userId);
    const end = String(HEAD_BYTES + mine.length - 5);
    const handles = entries.map(([handle]) => textOf(handle));
    for (const handle of handles) named?.add(handle);
    const heads = await inBatches(handles, async (handle) => {
      const key = this.#keys.session(handle);
      return textOf(await this.#commands.read(key, ["GETRANGE", key, "0", end]));
    });
    const places: PageStart[] = [];
    const missing: string[] = [];
    for (const [position, head] of heads.entries()) {
      const handle = handles[position] ?? "";
      if (head === "" || ownerOf(head) !== mine) {
        if (numberOf(entries[position]?.[1]) < now - YOUNG_MS) missing.push(handle);
      } else {
        const { touchedAt, expiresAt } = timesOf(head);
        if (expiresAt > now) places.push({ touchedAt, handle });
      }
    }
    await inBatches(missing, (handle) => this.#commands.write(index, ["ZREM", index, handle]));
    return places;
  }

  /** Counts what has expired and was not swept yet, too. */
  async countEveryone(): Promise<number> {
    const counts = await eachShard((shard) => {
      const key = this.#keys.newest(shard);
      return this.#commands.read(key, ["ZCARD", key]);
    });
    return counts.reduce<number>((sum, count) => sum + numberOf(count), 0);
  }

  /** Goes on until the page is full or the list at its end: some of what an index names is gone. */
  async #page(
    source: Source,
    limit: number,
    start: PageStart | undefined,
    now: number,
    forget?: (handles: readonly string[]) => Promise<void>,
  ): Promise<SessionPage> {
    const sessions: StoredSession[] = [];
    const kept: PageStart[] = [];
    let after = start;
    for (;;) {
      // One more than the page holds tells whether there is another.
      const room = limit + 1 - sessions.length;
      const places = await source(room, after);
      const values = await inBatches(places, ({ handle }) => this.#value(handle));
      const missing: string[] = [];
      for (const [position, place] of places.entries()) {
        const { handle } = place;
        const value = values[position];
        if (value === undefined) missing.push(handle);
        // One that is damaged is left out: the others can still be shown, and revoked.
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

  /** Only those that Redis has not got: what has expired and is still there is the sweep's. */
  async #forget(handles: readonly string[]): Promise<void> {
    await inBatches(handles, (handle) =>
      this.#commands.run(FORGET, [this.#keys.newest(shardOf(handle)), this.#keys.session(handle)], [handle]),
    );
  }
}

/** A command or more for each shard, all of them at once. */
export function eachShard<T>(ask: (shard: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: SHARDS }, (_, shard) => ask(shard)));
}

/** Members and scores come in turn from RESP2 and from scripts, and as pairs from RESP3. */
function pairs(list: unknown[]): [unknown, unknown][] {
  if (Array.isArray(list[0])) return list.map((pair) => (Array.isArray(pair) ? [pair[0], pair[1]] : [pair, undefined]));
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]);
}
