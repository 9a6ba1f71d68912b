import { SojournError } from "../../contract/errors.ts";
import type { ReplaceResult, SessionRecord, StoredSession, UpdateResult } from "../../contract/store.ts";
import { marks } from "./chance.ts";
import type { Commands } from "./commands.ts";
import { crossesSlots } from "./failures.ts";
import { type Keys, shardOf } from "./keys.ts";
import { numberOf, textOf } from "./replies.ts";
import { CREATE, DELETE, REPLACE, TOUCH, UPDATE } from "./scripts.ts";
import { decodeValue, encodeValue, owner, timeField } from "./value.ts";

/**
 * How much longer than its session a key lives, in milliseconds: whether a session has expired is told by the
 * application's clock and the record, and Redis only sweeps up, so that clocks that differ end no session early.
 */
const SLACK_MS = 300_000;

/** What UPDATE returns. */
const RESULTS: readonly UpdateResult[] = ["gone", "ok", "conflict"];
/** What REPLACE returns. */
const REPLACE_RESULTS: readonly ReplaceResult[] = [...RESULTS, "taken"];

/** One session at a time: one round trip each. `now` is the application's time, which alone decides what has expired. */
export class Records {
  readonly #commands: Commands;
  readonly #keys: Keys;
  readonly #nextMark = marks();
  /** Whether one script may not change keys of several slots. */
  #isCluster: boolean;

  constructor(commands: Commands, keys: Keys, { isCluster }: { isCluster: boolean }) {
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
    const args = this.#values(handle, record, now, lifetime(record.expiresAt, now));
    const created = this.#commands.run(CREATE, this.#keysOf(handle), args);
    if (record.userId === null) return numberOf(await created) === 1;
    // In the same round trip, and second: a session that its user's index lacks is one whose creation was not acknowledged.
    const index = this.#keys.user(record.userId);
    const [reply] = await Promise.all([created, this.#commands.write(index, ["ZADD", index, String(now), handle])]);
    return numberOf(reply) === 1;
  }

  async update(handle: string, record: SessionRecord, expectedVersion: number, now: number): Promise<UpdateResult> {
    const isEnd = record.expiresAt <= now;
    const forMs = isEnd ? "0" : lifetime(record.expiresAt, now);
    const args = [...this.#values(handle, record, now, forMs), timeField(expectedVersion)];
    let isRepeated = false;
    const reply = await this.#commands.run(UPDATE, this.#keysOf(handle), args, () => {
      isRepeated = true;
    });
    const result = RESULTS[numberOf(reply)];
    // The first try may have been done, and somebody else may have come after it: a caller who merged would do it twice. Or it may
    // have ended the session itself, which is not the end that a caller takes for somebody's logout.
    const isOwnPerhaps = isRepeated && (result === "conflict" || (result === "gone" && isEnd));
    if (result === undefined || isOwnPerhaps) {
      throw new SojournError("STORE_UNAVAILABLE", "The connection to Redis was lost: the session may have been saved.");
    }
    return result;
  }

  async touch(handle: string, touchedAt: number, expiresAt: number, now: number): Promise<boolean> {
    const [session = "", newest = ""] = this.#keysOf(handle);
    const args = [
      String(now),
      timeField(expiresAt),
      timeField(touchedAt),
      lifetime(expiresAt, now),
      String(-whole(touchedAt)),
      handle,
    ];
    return numberOf(await this.#commands.run(TOUCH, [session, newest], args)) === 1;
  }

  /** @param of only if it is this owner's */
  async delete(handle: string, now: number, of?: string): Promise<boolean> {
    const [session = "", newest = ""] = this.#keysOf(handle);
    const args = [String(now), handle, ...(of === undefined ? [] : [of])];
    return numberOf(await this.#commands.run(DELETE, [session, newest], args)) === 1;
  }

  /** Not on a Cluster, where one script may not have keys of several slots. */
  async replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone: StoredSession | undefined,
    now: number,
  ): Promise<ReplaceResult> {
    if (this.#isCluster) return "unsupported";
    const [session = "", newest = ""] = this.#keysOf(handle);
    const index = record.userId === null ? [] : [this.#keys.user(record.userId)];
    const note = tombstone === undefined ? session : this.#keys.session(tombstone.handle);
    const keys = [...this.#keysOf(newHandle), session, newest, note, ...index];
    const values = this.#values(newHandle, record, now, lifetime(record.expiresAt, now));
    const noted =
      tombstone === undefined
        ? []
        : [encodeValue(tombstone.handle, tombstone, this.#nextMark()), lifetime(tombstone.expiresAt, now)];
    try {
      const reply = await this.#commands.run(REPLACE, keys, [...values, timeField(expectedVersion), handle, ...noted]);
      const result = REPLACE_RESULTS[numberOf(reply)];
      if (result !== undefined) return result;
      throw new SojournError("STORE_UNAVAILABLE", "Redis gave an answer that the store does not know.");
    } catch (error) {
      if (!crossesSlots(error)) throw error;
      // A proxy in front of a cluster.
      this.#isCluster = true;
      return "unsupported";
    }
  }

  /** The keys of a session, in one slot. */
  #keysOf(handle: string): string[] {
    const shard = shardOf(handle);
    return [this.#keys.session(handle), this.#keys.newest(shard), this.#keys.ends(shard)];
  }

  /** What CREATE and UPDATE take. */
  #values(handle: string, record: SessionRecord, now: number, forMs: string): string[] {
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

function lifetime(expiresAt: number, now: number): string {
  return String(whole(expiresAt - now) + SLACK_MS);
}

function whole(time: number): number {
  return Math.min(Math.max(0, Math.trunc(time)), Number.MAX_SAFE_INTEGER - SLACK_MS);
}
