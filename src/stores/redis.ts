import { type Clock, systemClock } from "../contract/clock.ts";
import { SojournError } from "../contract/errors.ts";
import {
  type IndexedStore,
  isNote,
  type ReplaceResult,
  type SessionPage,
  type SessionRecord,
  type StoreCapabilities,
  type StoredSession,
  type UpdateResult,
} from "../contract/store.ts";
import { checkedLimit, decodeCursor } from "./paging.ts";
import { connectionOf, type RedisClient } from "./redis/client.ts";
import { Commands } from "./redis/commands.ts";
import { Duplicate } from "./redis/duplicate.ts";
import { Ending } from "./redis/ending.ts";
import { warnOfEviction } from "./redis/eviction.ts";
import { Keys } from "./redis/keys.ts";
import { Listing } from "./redis/listing.ts";
import { OwnConnection } from "./redis/own-connection.ts";
import type { ClientPackage } from "./redis/packages.ts";
import { Records } from "./redis/records.ts";
import { ReplicatedWrites, type WaitOptions } from "./redis/replicated-writes.ts";

export type * from "../contract/types.ts";
export type {
  IoredisClient,
  IoredisCluster,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisPool,
  NodeRedisSentinel,
  RedisClient,
} from "./redis/client.ts";
export type { ClientPackage } from "./redis/packages.ts";
export type { WaitOptions } from "./redis/replicated-writes.ts";

/** What {@link RedisStore} can be told. */
export interface RedisStoreOptions {
  /** What all keys begin with. Default `"sojourn:"`. Stores of different prefixes may share a server. */
  prefix?: string | undefined;
  /** Which package makes the client for a URL. Default: `"redis"` if it is installed, else `"ioredis"`. */
  client?: ClientPackage | undefined;
  /**
   * Acknowledge a write only when so many replicas have it, so that a failover can't undo it. Where they don't
   * confirm within `timeoutMs`, the write fails with `STORE_UNAVAILABLE`, though the primary has it. Default: don't wait.
   */
  wait?: WaitOptions | undefined;
  /** Default: the machine's time. */
  clock?: Clock | undefined;
}

/** How long `close` waits for what is under way. */
const CLOSE_TIMEOUT_MS = 1_000;

/**
 * Sessions in Redis 7 or Valkey: one server, Sentinel or Cluster. Any number of processes may share it.
 *
 * Each of `load`, `create`, `update`, `touch` and `delete` is one round trip; the writes are atomic. What a write that was
 * acknowledged survives is up to the server: its append-only file, its replicas and `wait`.
 *
 * @param clientOrUrl a connected client of the package `redis` (`createClient`, `createClientPool`, `createSentinel`,
 * `createCluster`) or `ioredis` (`Redis`, `Cluster`), which stays the application's to configure and to end; or a URL,
 * `redis://user:password@host:6379/0`, `rediss://` for TLS. For a URL one of the two packages must be installed; the client
 * fails fast while the server is down, and `close` ends it.
 *
 * @throws TypeError for an impossible argument or option. A `SojournError` from every method: `STORE_UNAVAILABLE` (not
 * reached, or in no state to serve), `STORE_FULL` (maxmemory), `STORE_CORRUPT` (a damaged session, or other data under the
 * prefix), `STORE_CLOSED`.
 * @example
 * app.use(session({ store: new RedisStore("redis://localhost:6379") }));
 */
export class RedisStore implements IndexedStore {
  readonly capabilities: Readonly<StoreCapabilities> = {
    durable: "process-crash",
    shared: true,
    atomicUpdate: true,
    indexed: true,
  };

  readonly #clock: Clock;
  readonly #records: Records;
  readonly #listing: Listing;
  readonly #ending: Ending;
  /** What we made, and end. */
  readonly #own: { close(): Promise<void> }[] = [];
  #onFirstNote: (() => void) | undefined;
  #underWay = 0;
  #onDrained: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(clientOrUrl: RedisClient | string, options: RedisStoreOptions = {}) {
    const { prefix = "sojourn:", client, wait, clock = systemClock } = options;
    const keys = new Keys(prefix);
    const handedOver = typeof clientOrUrl === "string" ? undefined : connectionOf(clientOrUrl);
    const another = () => {
      const connection =
        typeof clientOrUrl === "string"
          ? new OwnConnection(clientOrUrl, { client, clock })
          : new Duplicate(clientOrUrl);
      this.#own.push(connection);
      return connection;
    };
    const reads = handedOver ?? another();
    const writes = wait === undefined ? reads : new ReplicatedWrites(another(), wait, clock);
    const onFirstAnswer = () => void warnOfEviction(reads, keys.newest(0), "sessions");
    this.#onFirstNote = () => void warnOfEviction(reads, keys.newest(0), "notes");
    const commands = new Commands({ reads, writes, clock, onFirstAnswer });
    this.#clock = clock;
    this.#records = new Records(commands, keys, reads);
    this.#listing = new Listing(commands, keys);
    this.#ending = new Ending(commands, keys, { listing: this.#listing, records: this.#records });
  }

  load(handle: string): Promise<SessionRecord | undefined> {
    return this.#work((now) => this.#records.load(handle, now));
  }

  async create(handle: string, record: SessionRecord): Promise<boolean> {
    const created = await this.#work((now) => this.#records.create(handle, record, now));
    if (isNote(handle)) {
      this.#onFirstNote?.();
      this.#onFirstNote = undefined;
    }
    return created;
  }

  update(handle: string, record: SessionRecord, expectedVersion: number): Promise<UpdateResult> {
    return this.#work((now) => this.#records.update(handle, record, expectedVersion, now));
  }

  touch(handle: string, touchedAt: number, expiresAt: number): Promise<boolean> {
    return this.#work((now) => this.#records.touch(handle, touchedAt, expiresAt, now));
  }

  delete(handle: string): Promise<boolean> {
    return this.#work((now) => this.#records.delete(handle, now));
  }

  /** Not on a Cluster, where the two sessions and the user's index lie on different nodes. */
  replace(
    handle: string,
    expectedVersion: number,
    newHandle: string,
    record: SessionRecord,
    tombstone?: StoredSession,
  ): Promise<ReplaceResult> {
    return this.#work((now) => this.#records.replace(handle, expectedVersion, newHandle, record, tombstone, now));
  }

  /** One page. Of a user: a command for each of the user's sessions. Of everyone: 256, however many there are. */
  async list(query: { userId?: string; cursor?: string; limit?: number }): Promise<SessionPage> {
    const limit = checkedLimit(query.limit ?? 100, "list");
    const start = decodeCursor(query.cursor);
    const { userId } = query;
    return this.#work((now) =>
      userId === undefined
        ? this.#listing.everyone(limit, start, now)
        : this.#listing.ofUser(userId, limit, start, now),
    );
  }

  /** In batches of 500. After an error, what was done is done, and a second call does the rest. */
  deleteAll({ userId, except }: { userId?: string; except?: string }): Promise<number> {
    return this.#work((now) =>
      userId === undefined ? this.#ending.everyone(except, now) : this.#ending.allOfUser(userId, except, now),
    );
  }

  /** Of a user: a command for each of the user's sessions. Of everyone: 256, and what has expired unswept is counted. */
  count({ userId }: { userId?: string } = {}): Promise<number> {
    return this.#work(async (now) =>
      userId === undefined ? this.#listing.countEveryone() : (await this.#listing.placesOf(userId, now)).length,
    );
  }

  /** 256 commands, and a few for each session that is removed. Redis removes by itself what no prune has met in five minutes. */
  async prune(limit = 1_000): Promise<number> {
    checkedLimit(limit, "prune");
    return this.#work((now) => this.#ending.expired(limit, now));
  }

  /** Waits a second at most for what is under way, and ends the connections that the store made, not those it was given. */
  close(): Promise<void> {
    this.#closing ??= this.#drained().then(async () => {
      await Promise.all(this.#own.map((made) => made.close()));
    });
    return this.#closing;
  }

  async #work<T>(work: (now: number) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new SojournError("STORE_CLOSED", "The Redis store was closed.");
    this.#underWay++;
    try {
      return await work(this.#clock.now());
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) this.#onDrained?.();
    }
  }

  #drained(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(CLOSE_TIMEOUT_MS, resolve);
      this.#onDrained = () => {
        cancel();
        resolve();
      };
    });
  }
}
