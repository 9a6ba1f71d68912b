import { SojournError } from "../../contract/errors.ts";
import type { ReplaceResult, SessionRecord, StoredSession, UpdateResult } from "../../contract/store.ts";
import type { Commands } from "./commands.ts";
import { type Keys, shardOf } from "./keys.ts";
import { crossesSlots, numberOf, textOf } from "./replies.ts";
import { CREATE, DELETE, REPLACE, TOUCH, UPDATE } from "./scripts.ts";
import { decodeValue, encodeValue, marks, owner, timeField } from "./value.ts";

/**
 * How much longer than its session a key lives, in milliseconds. The application's clock decides
 * whether a session has expired, and Redis only cleans up: so differing clocks end no session
 * early.
 */
const EXTRA_TTL_MS = 300_000;

/** What UPDATE returns. */
const UPDATE_RESULTS: readonly UpdateResult[] = ["gone", "ok", "conflict"];
/** What REPLACE returns. */
const REPLACE_RESULTS: readonly ReplaceResult[] = [...UPDATE_RESULTS, "taken"];

/** Reads and writes single sessions, in one round trip each. `now` is the application's time. */
export class RedisRecords {
  readonly #commands: Commands;
  readonly #keys: Keys;
  readonly #nextMark = marks();
  /** Whether a script can't have keys in several slots. */
  #isCluster: boolean;

  constructor(commands: Commands, keys: Keys, isCluster: boolean) {
    this.#commands = commands;
    this.#keys = keys;
    this.#isCluster = isCluster;
  }

  async load(handle: string, now: number): Promise<SessionRecord | undefined> {
    const key = this.#keys.session(handle);
    const reply = await this.#commands.read(key, ["GET", key]);
    if (reply === null) return undefined;
    const record = decodeValue(handle, textOf(reply));
    if (record === undefined) throw new SojournError("STORE_CORRUPT", "A session in Redis is damaged.");
    return record.expiresAt > now ? record : undefined;
  }

  async create(handle: string, record: SessionRecord, now: number): Promise<boolean> {
    const created = this.#commands.run(CREATE, this.#keysOf(handle), this.#values(handle, record, now));
    if (record.userId === null) return numberOf(await created) === 1;
    // In the same round trip, and second: the index lacks unacknowledged sessions only.
    const index = this.#keys.user(record.userId);
    const [reply] = await Promise.all([created, this.#commands.write(index, ["ZADD", index, String(now), handle])]);
    return numberOf(reply) === 1;
  }

  async update(handle: string, record: SessionRecord, expectedVersion: number, now: number): Promise<UpdateResult> {
    const isEnd = record.expiresAt <= now;
    const args = [...this.#values(handle, record, now, isEnd ? "0" : undefined), timeField(expectedVersion)];
    let isRepeated = false;
    const reply = await this.#commands.run(UPDATE, this.#keysOf(handle), args, () => {
      isRepeated = true;
    });
    const result = UPDATE_RESULTS[numberOf(reply)];
    // The first attempt may have succeeded, and another write may have followed it. A caller would
    // then merge its changes twice, or take its own end of the session for a logout elsewhere.
    const isUncertain = isRepeated && (result === "conflict" || (result === "gone" && isEnd));
    if (result === undefined || isUncertain) {
      throw new SojournError("STORE_UNAVAILABLE", "The connection to Redis was lost: the session may have been saved.");
    }
    return result;
  }

  async touch(handle: string, touchedAt: number, expiresAt: number, now: number): Promise<boolean> {
    const times = [timeField(expiresAt), timeField(touchedAt), ttl(expiresAt, now), String(-whole(touchedAt))];
    const args = [String(now), ...times, handle];
    return numberOf(await this.#commands.run(TOUCH, this.#keysOf(handle).slice(0, 2), args)) === 1;
  }

  /** @param of deletes the session only if it has this owner */
  async delete(handle: string, now: number, of?: string): Promise<boolean> {
    const args = [String(now), handle, ...(of === undefined ? [] : [of])];
    return numberOf(await this.#commands.run(DELETE, this.#keysOf(handle).slice(0, 2), args)) === 1;
  }

  async replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone: StoredSession | undefined,
    now: number,
  ): Promise<ReplaceResult> {
    if (this.#isCluster) return "unsupported";
    const keys = [
      ...this.#keysOf(newHandle),
      ...this.#keysOf(handle).slice(0, 2),
      this.#keys.session(tombstone?.handle ?? handle),
      ...(record.userId === null ? [] : [this.#keys.user(record.userId)]),
    ];
    const args = [...this.#values(newHandle, record, now), timeField(expectedVersion), handle];
    if (tombstone !== undefined) {
      args.push(encodeValue(tombstone.handle, tombstone, this.#nextMark()), ttl(tombstone.expiresAt, now));
    }
    try {
      const result = REPLACE_RESULTS[numberOf(await this.#commands.run(REPLACE, keys, args))];
      if (result !== undefined) return result;
      throw new SojournError("STORE_UNAVAILABLE", "Redis sent an unexpected reply.");
    } catch (error) {
      if (!crossesSlots(error)) throw error;
      // The server is a proxy for a cluster.
      this.#isCluster = true;
      return "unsupported";
    }
  }

  /** Returns the session, newest and ends keys of a session, which share a slot. */
  #keysOf(handle: string): string[] {
    const shard = shardOf(handle);
    return [this.#keys.session(handle), this.#keys.newest(shard), this.#keys.ends(shard)];
  }

  /** Returns the arguments of the scripts that store a session. */
  #values(handle: string, record: SessionRecord, now: number, forMs = ttl(record.expiresAt, now)): string[] {
    return [
      String(now),
      encodeValue(handle, record, this.#nextMark()),
      forMs,
      String(-whole(record.touchedAt)),
      String(whole(record.expiresAt)),
      handle,
      owner(record.userId),
    ];
  }
}

function ttl(expiresAt: number, now: number): string {
  return String(whole(expiresAt - now) + EXTRA_TTL_MS);
}

function whole(time: number): number {
  return Math.min(Math.max(0, Math.trunc(time)), Number.MAX_SAFE_INTEGER - EXTRA_TTL_MS);
}
