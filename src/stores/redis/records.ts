import { SojournError } from "../../contract/errors.ts";
import type {
  Admission,
  AdmissionResult,
  ReplaceResult,
  SessionRecord,
  StoredSession,
  UpdateResult,
} from "../../contract/store.ts";
import type { Commands } from "./commands.ts";
import type { Group } from "./groups.ts";
import { type Keys, memberOf, shardOf } from "./keys.ts";
import { crossesSlots, listOf, numberOf, textOf } from "./replies.ts";
import { ADMIT, CREATE, DELETE, REPLACE, type Script, TOUCH, UPDATE } from "./scripts.ts";
import { decodeValue, encodeValue, hashLengthOf, label, labelsOf, marks, timeField } from "./value.ts";

/**
 * How much longer than its session a key lives, in milliseconds. The application's clock decides
 * whether a session has expired, and Redis only cleans up: so differing clocks end no session
 * early.
 */
const EXTRA_TTL_MS = 300_000;

/** An index entry without a session is kept this long: the session may still be on its way. */
export const YOUNG_MS = 60_000;

/** What UPDATE returns. */
const UPDATE_RESULTS: readonly UpdateResult[] = ["gone", "ok", "conflict"];
/** What REPLACE returns. */
const REPLACE_RESULTS: readonly (UpdateResult | "taken")[] = [...UPDATE_RESULTS, "taken"];
/** What ADMIT returns first. */
const ADMIT_RESULTS = [...REPLACE_RESULTS, "limit"] as const;

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
    if (record.userId === null && record.link === undefined) return numberOf(await created) === 1;
    // In the same round trip, and second: the indexes lack unacknowledged sessions only.
    const indexed = this.#keys
      .indexes(record)
      .map((index) => this.#commands.write(index, ["ZADD", index, String(now), memberOf(handle)]));
    const [reply] = await Promise.all([created, ...indexed]);
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
    const args = [String(now), timeField(expiresAt), timeField(touchedAt), ttl(expiresAt, now)];
    return numberOf(await this.#commands.run(TOUCH, [this.#keys.session(handle)], args)) === 1;
  }

  /** @param of deletes the session only if it belongs to this group */
  async delete(handle: string, now: number, of?: Group): Promise<boolean> {
    const args = [String(now), handle, ...(of === undefined ? [] : [of.label, of.kind])];
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
      ...this.#keys.indexes(record),
    ];
    const args = [...this.#values(newHandle, record, now), timeField(expectedVersion), handle, memberOf(newHandle)];
    if (tombstone !== undefined) {
      args.push(...this.#tombstone(tombstone, now));
    }
    const reply = await this.#onOneServer(REPLACE, keys, args);
    return reply === undefined ? "unsupported" : resultOf(REPLACE_RESULTS, reply);
  }

  async admit(admission: Admission & { userId: string }, now: number): Promise<AdmissionResult> {
    const { session, userId, limit, exceed, replaces } = admission;
    const { handle } = session;
    if (this.#isCluster) return { result: "unsupported" };
    const old = replaces?.handle ?? handle;
    const keys = [
      ...this.#keysOf(handle),
      ...this.#keysOf(old).slice(0, 2),
      this.#keys.session(replaces?.tombstone?.handle ?? old),
      ...this.#keys.indexes(session),
    ];
    const args = [
      ...this.#values(handle, session, now),
      ...(replaces === undefined ? ["", ""] : [timeField(replaces.expectedVersion), old]),
      memberOf(handle),
      ...(replaces?.tombstone === undefined ? ["", ""] : this.#tombstone(replaces.tombstone, now)),
      session.secretHash,
      hashLengthOf(session.secretHash),
      label(userId),
      String(limit),
      exceed,
      String(YOUNG_MS),
    ];
    const reply = await this.#onOneServer(ADMIT, keys, args);
    if (reply === undefined) return { result: "unsupported" };
    const [code, ...revoked] = listOf(reply);
    const result = resultOf(ADMIT_RESULTS, code);
    return result === "ok" ? { result, revoked: revoked.map(textOf) } : { result };
  }

  /** Runs a script on keys of several slots. Returns `undefined` if the server is a cluster. */
  async #onOneServer(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await this.#commands.run(script, keys, args);
    } catch (error) {
      if (!crossesSlots(error)) throw error;
      // The server is a proxy for a cluster.
      this.#isCluster = true;
      return undefined;
    }
  }

  /** Returns the arguments of the scripts that leave a tombstone. */
  #tombstone(tombstone: StoredSession, now: number): string[] {
    return [encodeValue(tombstone.handle, tombstone, this.#nextMark()), ttl(tombstone.expiresAt, now)];
  }

  /** Returns the session, handles and ends keys of a session, which share a slot. */
  #keysOf(handle: string): string[] {
    const shard = shardOf(handle);
    return [this.#keys.session(handle), this.#keys.handles(shard), this.#keys.ends(shard)];
  }

  /** Returns the arguments of the scripts that store a session. */
  #values(handle: string, record: SessionRecord, now: number, forMs = ttl(record.expiresAt, now)): string[] {
    return [
      String(now),
      encodeValue(handle, record, this.#nextMark()),
      forMs,
      String(whole(record.expiresAt)),
      handle,
      labelsOf(record),
    ];
  }
}

function resultOf<Result>(results: readonly Result[], reply: unknown): Result {
  const result = results[numberOf(reply)];
  if (result !== undefined) return result;
  throw new SojournError("STORE_UNAVAILABLE", "Redis sent an unexpected reply.");
}

function ttl(expiresAt: number, now: number): string {
  return String(whole(expiresAt - now) + EXTRA_TTL_MS);
}

function whole(time: number): number {
  return Math.min(Math.max(0, Math.trunc(time)), Number.MAX_SAFE_INTEGER - EXTRA_TTL_MS);
}
